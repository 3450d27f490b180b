"""What experimaestro can do, by the numbers of a list of its features, and the tests that prove it here.

Features that have no counterpart here, or that few need, are left out. `unit/config:copy` is `test_copy` in
`tests/unit/test_config.py`.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

ROWS = """
1 config classes | unit/schema:order_is_that_of_the_source_bases_first unit/schema:mixed_with_an_ordinary_class unit/naming:module_and_qualified_name unit/naming:a_class_in_a_function_is_refused
2 X.C(...) | unit/config:a_description_holds_parameters_and_runs_nothing unit/config:refused_at_construction_and_when_set unit/config:missing_is_refused_at_submission_with_its_path unit/config:calling_the_class
3 setting parameters afterwards | unit/config:refused_at_construction_and_when_set unit/config:sealed_at_submission_with_all_below_it
4 Param | unit/identifier:a_change_below_changes_the_identifier unit/schema:field_arguments
5 Meta | unit/identifier:the_specification_by_hand unit/identifier:equal_values_have_equal_identifiers_and_others_others acceptance/workers:inputs_may_change_between_runs_as_long_as_they_do_not_identify
6 Constant | unit/identifier:the_specification_by_hand unit/identity_machine:a_near_miss_has_another_identifier
7 DataPath | unit/form:a_folder_that_was_moved unit/form:saving_is_all_or_nothing
8 field(...) | unit/schema:field_arguments unit/schema:wrong_field_arguments unit/config:defaults_are_not_shared
9 bare defaults | unit/compat:defaults_that_stand_bare_do_not_count unit/compat:what_field_gives_as_default_counts_unless_it_says_otherwise
10 scalars, paths, enums | unit/kinds:stored_value unit/kinds:refused_value unit/scalars:whole_numbers_whosever_they_are unit/compat:numbers_and_bools_may_be_texts
11 containers | unit/kinds:containers_are_copied unit/identity_machine:equal_experiments_have_one_identifier integration/whole_path:values_come_back_as_they_were_given
12 Optional and Union | unit/kinds:stored_value unit/identity_machine:the_families_have_all_that_parameters_can_be
13 configs and tasks as parameters | unit/config:unsubmitted_task_in_a_list unit/kinds:place_of_the_culprit
15 Choices | unit/kinds:limits_and_abstract_types unit/schema:limits_hold_at_construction_and_when_set
16 help of parameters | unit/helping:all_places_are_looked_at acceptance/editing:an_editor_knows_the_parameters
17 parameters declared again | unit/schema:a_subclass_may_narrow_a_type unit/kinds:narrower_types
18 __validate__ | unit/validation:each_is_asked_once_what_is_below_first unit/validation:a_value_error_is_told_with_its_place_and_nothing_is_sealed
19 __post_init__ | unit/live:instance integration/jobcode:a_live_task_is_built_with_its_hooks_paths_and_inputs
20 initializer | unit/once:an_initializer_runs_once_for_each_object
21 instance() | unit/live:instance unit/instance:a_directory_stands_in_for_the_job_s unit/instance:calls_with_one_store_share_objects
23 value classes | unit/valued:live_objects_are_of_the_value_class acceptance/valued:a_worker_imports_the_module_that_registered_it
24 sealing | unit/config:seal unit/config:a_failed_submission_seals_nothing unit/frozen:all_the_way_down
26 copies | unit/config:copy unit/config:a_changed_copy_of_an_output unit/config:python_s_own_copies
27 setmeta | unit/identifier:what_setmeta_refuses unit/identity_machine:equal_experiments_have_one_identifier unit/message:what_is_told_apart_or_set_not_to_count_is_so_after_a_journey
30 generated paths | unit/config:generated_paths_of_nested_configs unit/config:generated_paths_belong_to_one_job unit/generated:a_function_makes_a_path_of_the_values acceptance/generated:a_shared_config_leads_to_the_file_of_the_first_job
31 provenance | unit/provenance:of_a_value unit/provenance:errors_tell_the_line_that_made_the_description
33 __xpmid__ | unit/naming:own_name_is_not_inherited unit/naming:a_method_that_gives_the_name_is_inherited
34 descriptions as text | unit/tags:label unit/kinds:a_long_value_is_cut_in_messages
36 cache | unit/once:what_is_cached_is_the_identifier_s unit/once:threads_wait_for_each_other unit/once:after_a_crash_the_next_one_makes_it
37 what is below a description | unit/compat:what_is_known_of_a_config
38 identifiers | unit/identifier:the_specification_by_hand unit/identity_machine:independent_experiments_have_two_identifiers
39 identifiers stay | unit/identifier:golden_values unit/identifier:golden_values_in_another_process acceptance/importing:what_was_done_there_is_not_done_again
41 where two jobs differ | unit/explain:the_nearest_job_and_where_it_differs unit/explain:lists_are_compared_by_place
50 tasks | integration/jobcode:a_live_task_is_built_with_its_hooks_paths_and_inputs acceptance/workers:a_graph_runs_each_job_once_and_hands_results_on acceptance/results:tags_in_a_job
51 submit | unit/config:submit_needs_an_experiment_and_something_to_execute unit/config:a_second_submit_is_the_same unit/options:a_mistake_is_told_in_one_line_and_nothing_is_submitted
52 dependencies | acceptance/workers:a_graph_runs_each_job_once_and_hands_results_on unit/identity_machine:a_task_is_the_same_after_a_journey integration/whole_path:values_come_back_as_they_were_given
53 task outputs | unit/config:task_outputs unit/config:copies_depend_on_the_task_that_gave_out_what_is_in_them unit/compat:a_task_may_say_itself_what_submit_gives
54 init tasks | unit/initial:they_work_on_the_objects_of_the_task_in_their_order unit/initial:they_count_and_so_does_their_order acceptance/compat:a_package_with_models_that_init_tasks_load
56 handles of a submitted task | unit/config:handles_work_after_the_block acceptance/compat:a_script_runs_and_reruns_with_nothing_to_do
57 jobs and states | unit/verbs:every_state_is_left_by_some_verb unit/display:every_state_has_its_word acceptance/cli_jobs:json_has_the_documented_fields_and_no_others
58 on_completed | acceptance/callbacks:a_function_is_called_by_a_worker_when_the_task_is_done acceptance/callbacks:it_is_not_called_for_a_task_that_fails
59 outputs while it runs | acceptance/callbacks:each_output_is_evaluated_while_the_training_goes_on acceptance/callbacks:who_watches_later_gets_what_was_registered_before
60 resumable tasks | acceptance/failures:a_task_that_is_killed_goes_on_where_it_was_and_progress_forgives acceptance/failures:a_task_that_ends_itself_is_continued_at_once_and_uncounted
61 cancellation | acceptance/failures:a_cancelled_task_may_save_and_its_return_is_no_result
64 Prepare | unit/compat:what_has_to_be_prepared_is_so_once_before_its_task_goes_out
65 progress | unit/session:progress acceptance/threads:progress_from_a_thread_is_seen
70 experiment() | acceptance/experiment:a_plan_is_run_once_and_a_second_run_says_that_there_is_nothing_to_do acceptance/wrong_input:two_experiments_of_one_name_at_once_both_end
71 what an experiment answers | acceptance/experiment:the_script_can_look_at_what_failed_itself acceptance/environ:jobs_start_with_the_variables_of_their_submission
72 dry runs | acceptance/experiment:a_dry_run_says_how_the_plan_differs_and_changes_nothing acceptance/experiment:a_dry_run_that_needs_a_result_stops_there
73 where jobs go by default | unit/compat:launchers_name_queues_and_tokens_are_required acceptance/cli_run:a_queue_without_a_worker_is_told_and_served
74 leaving without waiting | acceptance/cli_run:detach_attach_and_what_others_see_meanwhile acceptance/experiment:ctrl_c_detaches_and_attach_comes_back
75 changes that git does not know | acceptance/params:what_runs_before_and_what_git_knows
76 where a run comes from | acceptance/experiment:a_run_says_in_its_folder_where_it_comes_from unit/rundir:the_facts_say_where_the_run_comes_from
78 an old workspace's files | acceptance/importing:what_was_done_there_is_not_done_again unit/directory:a_silent_job_leaves_three_inodes
79 descriptions on disk | unit/form:all_kinds_of_values unit/form:the_schema_refuses
80 what a run has submitted | unit/rundir:what_is_noted_comes_back acceptance/past:a_task_comes_back_from_its_directory
81 save and load | unit/form:init_tasks_are_executed_on_live_objects unit/compat:saving_and_loading_take_folders acceptance/past:a_task_comes_back_from_its_directory unit/absent:what_stands_for_a_class_has_its_values_and_identifier
82 the hub | acceptance/hub:a_description_goes_to_a_hub_and_comes_back acceptance/hub:code_of_experimaestro_goes_on
83 settings | unit/settings:later_sources_win_and_are_remembered unit/settings:an_unknown_key_in_a_file_names_file_and_neighbour
90 tags of values | unit/tags:a_tag_is_the_stored_value unit/tags:different_values_are_both_kept
91 tags by name | unit/tags:a_tag_of_one_s_own_does_not_follow_the_parameter_of_its_name
92 reading tags | unit/tags:tags_of_nested_configs_and_dependencies unit/tags:tags_as_a_name acceptance/results:tags_in_a_job
93 tags that go no further | unit/tags:tags_that_are_stopped
94 whose tags they are | acceptance/results:tags_in_a_job acceptance/cli_jobs:jobs_by_a_filter
95 plans | unit/grid:a_product_is_what_nested_loops_make unit/grid:a_product_distributes_over_a_union acceptance/grid:a_grid_runs
96 grids in YAML | unit/params:several_values_vary acceptance/params:a_file_is_run_with_what_the_yaml_says_and_its_classes_are_those_of_the_script
100 tokens | acceptance/tokens:no_more_jobs_run_at_once_than_there_are_tokens integration/neighbours:a_token_is_counted_over_all_workspaces
103 one execution of a job | unit/directory:only_the_execution_that_has_a_directory_enters_it acceptance/leases:a_worker_that_is_stopped_loses_its_job_and_cannot_harm_it_when_it_wakes
104 read and write locks | integration/tokens:a_lock_has_readers_or_a_writer acceptance/running_code:jobs_and_threads_exclude_each_other_by_a_lock
105 jobs on this host | acceptance/experiment:ctrl_c_detaches_and_attach_comes_back
106 several hosts | acceptance/workers:workers_of_containers_with_one_host_name_and_the_same_process_ids acceptance/failures:a_task_whose_whole_pool_is_killed_goes_on_elsewhere acceptance/brokers:two_brokers_of_one_workspace_have_workers_each
107 so many jobs at once | acceptance/localpool:workers_at_work_become_more_and_fewer_and_say_what_stays
111 variables of jobs | acceptance/environ:jobs_start_with_the_variables_of_their_submission
113 find_launcher | unit/compat:launchers_name_queues_and_tokens_are_required
120 a page of jobs | integration/rqdashboard:every_page_opens integration/rqdashboard:delete_gives_a_job_up
121 jobs on a terminal | acceptance/experiment:the_live_display_shows_what_runs unit/display:the_live_display_fits_the_screen
124 following what happens | acceptance/cli_run:detach_attach_and_what_others_see_meanwhile acceptance/cli_run:logs_follow_a_job_to_its_end
128 what is left over | integration/leavings:what_is_left_out_and_has_not_started integration/strays:what_a_pool_left_that_was_killed_with_all_its_processes_ends_with_the_next_pool
130 notebooks | acceptance/notebooks:the_newest_definition_runs_and_descriptions_of_older_ones_are_refused acceptance/notebooks:interrupting_the_kernel_detaches
131 types | typing/calls:wrong_calls_are_errors_and_right_ones_are_not
133 debugging a job | acceptance/cli_run:pdb_runs_a_job_again_and_changes_nothing integration/jobcode:a_job_is_debugged_in_a_copy_and_publishes_nothing
"""


def rows() -> dict[str, list[str]]:
    """The tests of each feature, by its number and name."""
    lines = [line.partition(" | ") for line in ROWS.strip().splitlines()]
    return {name: proofs.split() for name, _, proofs in lines}


@functools.cache
def names_in(module: str) -> frozenset[str]:
    """The names of the tests in a module."""
    folder, _, name = module.partition("/")
    tree = ast.parse((TESTS / folder / f"test_{name}.py").read_text())
    return frozenset(each.name for each in tree.body if isinstance(each, ast.FunctionDef))


@pytest.mark.parametrize("row", rows())
def test_what_proves_a_feature_is_there(row: str) -> None:
    proofs = [proof.partition(":") for proof in rows()[row]]
    assert proofs
    assert [f"{module}:{name}" for module, _, name in proofs if f"test_{name}" not in names_in(module)] == []


def test_features_are_in_their_order_and_once() -> None:
    numbers = [int(row.partition(" ")[0]) for row in rows()]
    assert numbers == sorted(set(numbers))
