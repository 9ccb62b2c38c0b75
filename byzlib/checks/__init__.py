"""Checkers of the exercises: each asks for properties, and says what is wrong and where to look.

A checker takes the reader's function. It prints one line when the answer is right, and raises
`NotYet` with a hint when it is not. It works offline, at once, and never changes what it is given.
The checkers of each chapter stand in a module of its number.
"""

from byzlib.checks._form import NotYet, exercise, require
from byzlib.checks.chapter_00 import middle, nearer
from byzlib.checks.chapter_01 import gain, liars_survived, steer_together
from byzlib.checks.chapter_02 import careful_trimmed_mean, pushed_farther
from byzlib.checks.chapter_03 import average_best, farther_forward
from byzlib.checks.chapter_04 import bend, count_from_share, worst_table
from byzlib.checks.chapter_05 import groups_or_firms, is_geometric_median, median_of_means
from byzlib.checks.chapter_06 import clique_trial, narrowest
from byzlib.checks.chapter_07 import bucket_trial, clip_by_median, mix
from byzlib.checks.chapter_08 import disguise_trial, min_sum_row, unseen_shift
from byzlib.checks.chapter_09 import door_trial, overtaken
from byzlib.checks.chapter_10 import ball_radius, descend, memory_trial, remember
from byzlib.checks.chapter_11 import candles_needed, last_bar_trial, lucky_share
from byzlib.checks.chapter_12 import next_labels, purge_trial, upper_shadow
from byzlib.checks.chapter_13 import capped_weights, clean_trial, heterogeneity, read_candle
from byzlib.checks.chapter_14 import fee_trial, kept_share, largest_fall
from byzlib.checks.chapter_15 import company_trial, coverage_ratio, portmanteau
from byzlib.checks.chapter_16 import alarm_trial, area, leans_on, resting_share
from byzlib.checks.chapter_17 import distances_from_blocks, run_network, steeper
from byzlib.checks.chapter_18 import asking_more, sort_replies
from byzlib.checks.chapter_19 import held_out, least_worst_regret, mask_rows, radius_among_lies

__all__ = [
    "NotYet", "exercise", "require",
    "middle", "nearer", "liars_survived", "steer_together", "gain", "careful_trimmed_mean",
    "pushed_farther", "average_best", "farther_forward", "count_from_share", "bend", "worst_table",
    "is_geometric_median", "median_of_means", "groups_or_firms", "narrowest", "clique_trial", "mix",
    "clip_by_median", "bucket_trial", "unseen_shift", "min_sum_row", "disguise_trial", "overtaken",
    "door_trial", "descend", "ball_radius", "remember", "memory_trial", "candles_needed",
    "lucky_share", "last_bar_trial", "next_labels", "upper_shadow", "purge_trial", "heterogeneity",
    "capped_weights", "read_candle", "clean_trial", "kept_share", "largest_fall", "fee_trial",
    "coverage_ratio", "portmanteau", "company_trial", "area", "resting_share", "alarm_trial",
    "leans_on", "run_network", "distances_from_blocks", "steeper", "sort_replies", "asking_more",
    "mask_rows", "least_worst_regret", "held_out", "radius_among_lies",
]  # fmt: skip
