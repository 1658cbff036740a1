"""The contest: what is measured, what is kept, and how the page shows it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "book" / "_ext"), str(ROOT / "benchmarks")]

import contest  # noqa: E402 -- found in its own folder
import ganmusic_contest as page  # noqa: E402 -- found in the book's own folder

from ganmusic import checkpoint, recipes  # noqa: E402
from ganmusic.sample import load_generator  # noqa: E402

NAMES = (*page.COLUMNS, "step_rate")


def run(title, recipe, seed, distance, minutes=20, clips=None):
    entry = {
        "title": title,
        "recipe": recipe,
        "seed": seed,
        "minutes": minutes,
        "curve": [[minute, 10 * distance / minute] for minute in range(1, minutes + 1)],
        "values": dict.fromkeys(NAMES, 0.5) | {"frechet_distance": distance},
        "passed": dict.fromkeys(NAMES, seed == 0) | {"density": True},
    }
    return entry | ({"clips": clips} if clips else {})


@pytest.fixture
def found():
    note = [[0, 0, 16, 60], [3, 0, 16, 48]]
    return {
        "facts": {"minutes": 20, "bach": 18.0},
        "costs": {"far": [0.5, 0.0], "near": [0.25, 0.1]},
        "runs": {
            "far-0-20": run("far <b>", "far", 0, 400.0, clips={"1": [], "20": note}),
            "near-0-20": run("near", "near", 0, 30.0, clips={"20": note}),
            "near-1-20": run("near", "near", 1, 50.0),
            "near-0-60": run("near", "near", 0, 20.0, minutes=60, clips={"20": note, "60": note}),
        },
    }


@pytest.fixture
def rows():
    return {name: {"real": 15.0, "low": 10.0, "high": 20.0} for name in NAMES}


def test_the_nearest_comes_first_and_hours_do_not_compete(found):
    models = page.by_model(found)
    assert list(models) == ["near", "far <b>"]
    assert [entry["seed"] for entry in models["near"]] == [0, 1]


def test_the_table_has_means_spreads_and_costs(found, rows):
    html = page.standing(found, rows)
    assert "<td>40.0<br><small>30.0 to 50.0</small></td>" in html
    assert "<td>2</td><td>250<br><small>and 100 a lesson</small></td>" in html
    assert html.count("✓") == 1 + len(page.COLUMNS)  # near's density; all of far's single seed
    assert "far &lt;b&gt;" in html
    assert "<b>" not in html


def test_the_curves_are_said_in_words(found):
    html = page.curves(found)
    assert "near ends at 20.0; far &lt;b&gt; ends at 200; the chorales of the test split have 18.0" in html
    assert html.count("<svg") == 1


def test_every_mark_can_be_heard_once(found):
    html = page.clips(found)
    assert html.count("<audio") == 3  # far at 20 minutes, near at 20 and at 60
    assert "far &lt;b&gt;, 1 min: silence" in html
    assert html.index("near, 20 min") < html.index("near, 60 min")


def test_costs_are_those_of_an_update():
    found = contest.costs(["toy", "choir"])
    assert list(found) == ["toy", "choir"]
    assert found["toy"][1] == 0  # it has no lessons
    assert min(found["toy"][0], *found["choir"]) > 0


def test_lessons_are_on_the_clock():
    """Six seconds an update and six more for each of the first ten."""
    clock = contest.Clock(6.0, 6.0, 10)
    assert [clock.minutes(step) for step in (0, 5, 10, 20)] == [0, 1, 2, 3]
    assert [clock.step(minutes) for minutes in (0, 1, 2, 3)] == [0, 5, 10, 20]
    assert clock.step(2.15) == 11


def test_a_run_is_trained_judged_and_kept(tmp_path, monkeypatch, capsys):
    row = {"name": "frechet_distance", "value": 12.3456, "real": 1.0, "passed": False}
    report = {"rows": [row, {**row, "name": "drums", "real": None}], "verdict": {"innovative": False}}
    monkeypatch.setattr(contest.RESULTS, "path", tmp_path / "contest.json")
    monkeypatch.setattr(contest, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(contest, "TITLES", {"toy": "a toy"})
    monkeypatch.setattr(contest, "HOUR", ())
    monkeypatch.setattr(contest, "against", lambda: None)
    monkeypatch.setattr(contest, "clips_of_run", lambda folder: folder)
    monkeypatch.setattr(contest, "evaluate", lambda clips, against: SimpleNamespace(to_dict=lambda: report))
    monkeypatch.setattr(contest, "RECIPES", dict(recipes.RECIPES))
    monkeypatch.setattr(recipes, "RECIPES", contest.RECIPES)
    (tmp_path / "runs").mkdir()
    contest.RESULTS.add("costs", "toy", [30.0, 0.0])  # two updates a minute
    contest.train("toy-0-20")
    kept = json.loads((tmp_path / "contest.json").read_text())["runs"]["toy-0-20"]
    assert kept["updates"] == 40
    assert [minute for minute, _ in kept["curve"]] == list(range(1, 21))
    assert kept["values"] == {"frechet_distance": 12.35}
    assert set(kept["clips"]) == {"1", "5", "20"}
    assert all(0 <= track < 4 and duration > 0 for track, _, duration, _ in kept["clips"]["20"])
    assert kept["best"] in range(2, 42, 2)
    assert "toy-0-20: distance 12.35" in capsys.readouterr().out


def test_binary_neurons_are_as_steep_at_the_end_of_any_run():
    recipe = recipes.RECIPES["binary_stochastic"]
    assert contest.stretched(recipe, 10 * recipe.steps) == {**recipe.generator, "epoch": 10 * recipe.generator["epoch"]}
    assert contest.stretched(recipes.RECIPES["chorales"], 7) == recipes.RECIPES["chorales"].generator


def test_bach_has_a_distance_too():
    assert 15 < contest.bach() < 20


class Pool:
    """Does the work in this process."""

    def __init__(self, jobs):
        self.jobs = jobs

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def imap_unordered(self, work, tasks):
        return map(work, tasks)


@pytest.fixture
def small_contest(tmp_path, monkeypatch):
    """Two seeds of a toy, of which costs and training are pretended; what was done."""
    done = []

    def train(name):
        done.append(name)
        contest.RESULTS.add("runs", name, {})

    def costs(names):
        done.extend(f"cost of {name}" for name in names)
        return dict.fromkeys(names, (0.123456, 0.0))

    for name, value in {
        "RUNS": tmp_path / "runs", "TITLES": {"toy": "a toy"}, "SEEDS": (0, 1), "HOUR": (), "train": train,
        "costs": costs, "bach": lambda: 18.123456, "get_context": lambda how: SimpleNamespace(Pool=Pool),
    }.items():  # fmt: skip
        monkeypatch.setattr(contest, name, value)
    monkeypatch.setattr(contest, "ROOT", tmp_path)
    monkeypatch.setattr(contest.RESULTS, "path", tmp_path / "contest.json")
    monkeypatch.setattr(sys, "argv", ["contest.py"])
    return done


def test_the_contest_does_what_is_missing(small_contest, capsys, monkeypatch):
    contest.RESULTS.add("runs", "toy-0-20", {})
    contest.main()
    assert small_contest == ["cost of toy", "toy-1-20"]
    found = contest.RESULTS.read()
    assert found["costs"] == {"toy": [0.1235, 0.0]}
    assert found["facts"]["bach"] == 18.12
    assert "contest.json has 2 of 2 runs" in capsys.readouterr().out
    contest.main()
    assert small_contest == ["cost of toy", "toy-1-20"]
    monkeypatch.setattr(sys, "argv", ["contest.py", "toy-7-20"])
    with pytest.raises(SystemExit):
        contest.main()
    assert "there is no run toy-7-20; there are toy-0-20, toy-1-20" in capsys.readouterr().err


def test_the_contest_stops_at_the_first_error(small_contest, monkeypatch):
    def broken(name):
        raise OSError("the disk is full")

    monkeypatch.setattr(contest, "train", broken)
    with pytest.raises(OSError, match="the disk is full"):
        contest.main()
    assert contest.RESULTS.read()["runs"] == {}


def test_an_update_costs_what_the_book_says():
    """Chapter 10: less than a third of the convolutional pair's. The aim: at most half of the small MuseGAN's."""
    costs = json.loads(page.RESULTS.read_text(encoding="utf-8"))["costs"]
    assert 0.3 < costs["choir"][0] / costs["chorales"][0] < 1 / 3
    (update, lesson), (other, _) = costs["choir"], costs["musegan_small"]
    assert update / other < 0.5
    chapter = (ROOT / "notebooks" / "10-our-model.ipynb").read_text(encoding="utf-8")
    each = f"an update takes {1000 * update:.0f} ms, and a lesson {1000 * lesson:.0f} ms besides"
    assert f"one of the [small MuseGAN](08-musegan.ipynb)'s takes {1000 * other:.0f} ms." in chapter
    recipe = recipes.RECIPES["choir"]
    over_all = 60 * contest.Clock(update, lesson, recipe.game["lessons"]).minutes(recipe.steps) / recipe.steps
    assert [update / other, (update + lesson) / other] == pytest.approx([0.4, 0.75], abs=0.02)
    assert f"1,000 updates of it, {1000 * costs['chorales'][0]:.0f} seconds by the contest's clock" in chapter
    assert f"By that clock the updates above took {1000 * update + 700 * lesson:.0f} seconds; {each}; one" in chapter
    on_average = f"{over_all / other:.2f} of it on average over the recipe's {recipe.steps:,} updates"
    assert f"four tenths of that, three quarters while there are lessons, and {on_average}." in chapter


@pytest.mark.parametrize("name", [name for name in checkpoint.shipped() if name in contest.TITLES])
def test_cards_tell_the_time_by_the_contest_s_clock(name):
    costs = json.loads(page.RESULTS.read_text(encoding="utf-8"))["costs"][name]
    clock = contest.Clock(*costs, recipes.RECIPES[name].game.get("lessons", 0))
    minutes = clock.minutes(load_generator(name).card["step"])
    card = (checkpoint.find(name) / "README.md").read_text(encoding="utf-8")
    assert f"music); {minutes:.0f} minutes of one core until then, on a quiet" in card


def whole():
    """The finished runs of equal cost of each recipe that has run with every seed."""
    runs = json.loads(page.RESULTS.read_text(encoding="utf-8"))["runs"].values()
    equal = [run for run in runs if run["minutes"] == contest.MINUTES]
    by_recipe = {name: [run for run in equal if run["recipe"] == name] for name in contest.TITLES}
    return {name: found for name, found in by_recipe.items() if len(found) == len(contest.SEEDS)}


def test_all_have_run_with_every_seed():
    assert whole().keys() == contest.TITLES.keys()
    assert {run.name for run in contest.runs()} == json.loads(page.RESULTS.read_text(encoding="utf-8"))["runs"].keys()


def span(name):
    """The smallest and the largest distance of a recipe, as the book says them."""
    distances = [run["values"]["frechet_distance"] for run in whole()[name]]
    return f"{min(distances):.0f} to {max(distances):.0f}"


def test_chapter_ten_says_how_near_they_came():
    chapter = (ROOT / "notebooks" / "10-our-model.ipynb").read_text(encoding="utf-8")
    choir, small, plain = map(span, ("choir", "musegan_small", "mlp"))
    assert f"a distance of {choir}, the small MuseGAN of {small}, and the plain network of {plain} (the best" in chapter


_ROWS = [
    ("08-musegan", "composer", "musegan_composer"),
    ("08-musegan", "composer, cells above one half", "binary_threshold"),
    ("08-musegan", "hybrid", "musegan_hybrid"),
    ("08-musegan", "jam", "musegan_jamming"),
    ("08-musegan", "the small MuseGAN (below)", "musegan_small"),
    ("09-binary-neurons", "sigmoid, cut at one half", "binary_threshold"),
    ("09-binary-neurons", "deterministic neurons", "binary_deterministic"),
    ("09-binary-neurons", "stochastic neurons", "binary_stochastic"),
]


@pytest.mark.parametrize(("chapter", "title", "name"), _ROWS)
def test_chapters_have_the_contest_s_numbers(chapter, title, name):
    columns = {
        "08-musegan": ("triads_on_beats", "qualified_notes"),
        "09-binary-neurons": ("qualified_notes", "polyphony_rate", "triads_on_beats"),
    }[chapter]
    means = (sum(run["values"][column] for run in whole()[name]) / len(contest.SEEDS) for column in columns)
    row = " | ".join([title, span(name), *(f"{mean:.2f}" for mean in means)])
    assert f"| {row} |" in (ROOT / "notebooks" / f"{chapter}.ipynb").read_text(encoding="utf-8")


def test_chapters_say_what_bach_has_and_what_a_composer_costs():
    rows = {row["name"]: row["real"] for row in json.loads(page.SCOREBOARD.read_text(encoding="utf-8"))["rows"]}
    columns = (f"{rows[name]:.2f}" for name in ("qualified_notes", "polyphony_rate", "triads_on_beats"))
    ninth = (ROOT / "notebooks" / "09-binary-neurons.ipynb").read_text(encoding="utf-8")
    assert " | ".join(["| held-out Bach", f"{rows['frechet_distance']:.0f}", *columns]) in ninth
    eighth = (ROOT / "notebooks" / "08-musegan.ipynb").read_text(encoding="utf-8")
    assert f"by whose yardstick held-out Bach has {rows['frechet_distance']:.0f})" in eighth
    costs = json.loads(page.RESULTS.read_text(encoding="utf-8"))["costs"]
    assert costs["musegan_composer"][0] / costs["musegan_hybrid"][0] == pytest.approx(0.7, abs=0.02)
    assert "an update of it costs seven tenths" in eighth


@pytest.mark.parametrize("name", whole())
def test_recipes_say_how_they_did(name):
    distances = [run["values"]["frechet_distance"] for run in whole()[name]]
    mean, low, high = (round(value) for value in (sum(distances) / len(distances), min(distances), max(distances)))
    (updates,) = {run["updates"] for run in whole()[name]}
    assert recipes._in_the_contest(updates, mean, low, high) in recipes.RECIPES[name].description


def test_the_book_says_what_held_out_music_has():
    rows = json.loads(page.SCOREBOARD.read_text(encoding="utf-8"))["rows"]
    (real,) = (row["real"] for row in rows if row["name"] == "frechet_distance")
    assert f"held-out Bach has {round(real)}." in recipes._in_the_contest(1, 2, 1, 3)


def test_everything_that_takes_part_is_a_recipe_for_chorales():
    assert all(recipes.RECIPES[name].corpus == "chorales" for name in contest.TITLES)
    names = [each.name for each in contest.runs()]
    assert len(names) == len(set(names)) == 3 * len(contest.TITLES) + len(contest.HOUR)
