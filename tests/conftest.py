"""What all tests share: a cache folder of their own, no network, hypothesis at a pace that fits them all, the tiers."""

import os

import pytest
from hypothesis import settings

settings.register_profile("here", max_examples=40, deadline=None)
settings.load_profile("here")

# `make test-quick`: for every model, head, tokenizer, score and command one test that holds its numbers against a
# formula, another program or a record. tests/test_environment.py checks that each is there.
QUICK = {
    "models/test_attention.py": "test_attention_and_its_gradients_are_those_of_torch",
    "models/test_awd.py": "test_evaluation_is_a_plain_stack",
    "models/test_cells.py": "test_the_blocks_follow_the_papers test_lstm_2000_is_torch_lstm_with_halved_candidates",
    "models/test_matrix_state.py": "test_without_a_gate_it_is_attention_without_a_softmax "
    "test_the_delta_rule_replaces_what_a_key_held",
    "models/test_minrnn.py": "test_both_forms_and_their_gradients_are_the_equations",
    "models/test_ngram.py": "test_add_k_equals_the_formula test_kneser_ney_agrees_with_nltk",
    "models/test_qrnn.py": "test_layer_against_its_equations",
    "models/test_recurrent.py": "test_loss_and_gradients_are_those_of_torchs_own_stack",
    "models/test_regularise.py": "test_penalties_and_their_gradients_by_hand",
    "models/test_window.py": "test_it_computes_the_equation_with_short_histories_too",
    "scratch/test_lstm.py": "test_loss_and_gradients_against_torch",
    "scratch/test_rnn.py": "test_loss_and_gradients_against_torch",
    "test_losses.py": "test_loss_and_gradients_agree_with_torch test_sampled_head_is_exact_outside_training "
    "test_adaptive_head_is_a_distribution_and_scores_its_own",
    "test_text.py": "test_characters_and_byte_pairs_are_exact test_words_are_exact_up_to_blanks "
    "test_treebank_agrees_with_nltk_on_plain_sentences test_text_goes_through_ids_and_back",
    "test_batches.py": "test_stream_scores_each_column_once_and_in_order",
    "test_grammar.py": "test_entropy_and_length_of_a_tiny_grammar_equal_the_sum_over_all_its_stories "
    "test_the_corpus_does_not_change_unnoticed",
    "test_evaluate.py": "test_the_score_is_that_of_one_long_forward_pass",
    "test_generate.py": "test_greedy_takes_the_likeliest_each_time test_a_wide_beam_finds_the_likeliest_continuation",
    "test_cache.py": "test_every_position_agrees_with_the_loop",
    "test_dynamic.py": "test_scores_agree_with_the_loop",
    "test_optim.py": "test_average_is_the_mean_of_the_weights_since_the_start test_four_phases",
    "test_train.py": "test_the_loop_is_the_textbooks test_two_runs_with_one_seed_agree_bit_for_bit",
    "test_checkpoint.py": "test_a_model_comes_back_bit_for_bit",
    "test_pretrained.py": "test_every_model_of_the_catalogue_loads_and_predicts",
    "test_cli.py": "test_training_makes_a_run_and_says_the_score test_evaluate_repeats_the_recorded_score "
    "test_generate_and_score test_lists test_texts_described_cut_and_counted test_every_help_gives_an_example",
    "test_adapt.py": "test_tuning_is_kept_with_the_run_and_used",
    "test_finetune.py": "test_the_command",
    "test_reproduce.py": "test_the_command_ends_with_what_it_found",
    "test_runs.py": "test_a_release_is_a_model_with_a_card",
    "classroom/test_sources.py": "test_command_builds_without_nbgrader_and_prints_points",
}
# The longest files, first: two processes that share the tests then end together.
LONG = ("book/test_accessibility", "test_distributed", "classroom/test_grading", "book/test_notebooks", "robustness/")


def place(path) -> str:
    """Return a test file's path below this folder."""
    return os.path.relpath(path, os.path.dirname(__file__)).replace(os.sep, "/")


def pytest_ignore_collect(collection_path, config):
    """Where only the quick tests are asked for, read only their files."""
    quick = config.getoption("markexpr") == "quick"
    return True if quick and collection_path.suffix == ".py" and place(collection_path) not in QUICK else None


def pytest_collection_modifyitems(items):
    """Mark the quick tests; put the longest files first."""

    def rank(item) -> int:
        return next((n for n, name in enumerate(LONG) if place(item.path).startswith(name)), len(LONG))

    for item in items:
        if getattr(item, "originalname", item.name) in QUICK.get(place(item.path), "").split():
            item.add_marker(pytest.mark.quick)
    items.sort(key=rank)


@pytest.fixture(scope="session", autouse=True)
def _on_our_own(tmp_path_factory):
    """Keep the user's cache out of the tests and the tests off the network."""
    ours = {"LMTUTOR_CACHE": str(tmp_path_factory.mktemp("cache")), "LMTUTOR_OFFLINE": "1"}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    yield
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
