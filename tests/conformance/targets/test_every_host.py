"""Every kind of target that is a host: see `every_kind`."""

from tests.conformance.targets import HOSTS
from tests.conformance.targets.every_kind import (  # noqa: F401 - pytest collects them here
    test_a_connection_that_is_cut_leaves_one_or_the_other,
    test_a_key_that_is_made_there_is_never_read_and_one_of_a_failed_order_is_removed,
    test_a_new_certificate_is_seen_on_the_wire_as_was_planned_and_again_changes_nothing,
    test_a_target_that_is_away_is_tried_again,
    test_of_two_deployments_at_once_the_newer_one_stays,
    test_the_key_of_another_certificate_never_reaches_the_target,
    test_what_goes_wrong_leaves_the_old_certificate_and_is_told,
)

ROWS = HOSTS
