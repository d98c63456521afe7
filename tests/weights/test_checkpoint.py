"""Checkpoints of every origin rebuild themselves, and a file that is not one of ours is refused in one sentence."""

import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor

import zoo
from zoo.core.errors import ZooError
from zoo.core.plugin_files import load_plugin
from zoo.core.registry import find_class, forget_files
from zoo.core.spec import build
from zoo.matting.module import BackgroundMatting
from zoo.training.module import TrainingModule
from zoo.weights.checkpoint import describe, record

ORIGINS = ("command line", "python", "saved again")

BACKBONE = {"class_path": "TimmBackbone", "init_args": {"name": "test_efficientnet", "pretrained": False}}
TOPK = {"class_path": "TopK", "init_args": {"patches": 20}}


def quiet_trainer(folder: Path, **settings: Any) -> Trainer:
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        **settings,
    )


def python_data() -> Any:
    """The tiny data, put together in Python."""
    from zoo.matting.data import EvaluationSet, MattingData, TrainingStage

    tiny = find_class("Tiny")
    stages = {"squares": TrainingStage(tiny(count=2), canvas=64)}
    return MattingData(stages, {}, validation=EvaluationSet(tiny(count=1), canvas=64), batch_size=2, workers=0)


@pytest.fixture(scope="module")
def files(fitted: Path, shared_tiny, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of each origin; the one of a model and a Trainer made in Python had no seed."""
    folder = tmp_path_factory.mktemp("origins")
    load_plugin(str(shared_tiny.plugin))
    torch.manual_seed(2**40 + 1)  # of the size that torch chooses itself, and more than the command line takes
    model = zoo.create_model("bgmv2_mobilenetv2", backbone=BACKBONE, base_scale=0.5, selector=TOPK)
    trainer = quiet_trainer(folder, max_epochs=1)
    trainer.fit(model, datamodule=python_data())
    trainer.save_checkpoint(folder / "python.ckpt")
    loaded = zoo.load(str(fitted / "checkpoints" / "last.ckpt"))
    again = quiet_trainer(folder, limit_val_batches=1)
    again.validate(loaded, datamodule=python_data(), verbose=False)
    again.save_checkpoint(folder / "again.ckpt")
    forget_files()
    return dict(
        zip(ORIGINS, (fitted / "checkpoints" / "last.ckpt", folder / "python.ckpt", folder / "again.ckpt"), strict=True)
    )


@pytest.fixture
def last(fitted: Path) -> Path:
    return fitted / "checkpoints" / "last.ckpt"


def content(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def changed(last: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> str:
    """A copy of a checkpoint with something changed in it."""
    whole = content(last)
    change(whole)
    torch.save(whole, folder / "changed.ckpt")
    return str(folder / "changed.ckpt")


def pictures() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, 3, 50, 66, generator=generator), torch.rand(1, 3, 50, 66, generator=generator)


@pytest.mark.parametrize("origin", ORIGINS)
class TestEveryOrigin:
    def test_it_holds_tensors_and_plain_data_only(self, files: dict[str, Path], origin: str) -> None:
        assert content(files[origin])["zoo"]["format"] == 1

    def test_it_rebuilds_without_yaml_to_equal_outputs(
        self, files: dict[str, Path], origin: str, tmp_path: Path, monkeypatch
    ) -> None:
        monkeypatch.chdir(tmp_path)  # nothing beside the file is needed
        model = zoo.load(str(files[origin]))
        assert isinstance(model, BackgroundMatting)
        assert not model.training
        torch.manual_seed(99)
        twin = zoo.load(str(files[origin]))
        first, second = model(*pictures()), twin(*pictures())
        for name, value in first._asdict().items():
            assert torch.equal(value, getattr(second, name)), name
        weights = content(files[origin])["state_dict"]
        assert weights.keys() == model.state_dict().keys()
        assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())

    def test_load_from_checkpoint_works(self, files: dict[str, Path], origin: str) -> None:
        expected = zoo.load(str(files[origin])).state_dict()
        for cls in (BackgroundMatting, TrainingModule):
            model = cls.load_from_checkpoint(files[origin])
            assert isinstance(model, BackgroundMatting)
            assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())

    def test_its_arguments_are_the_model_s(self, files: dict[str, Path], origin: str) -> None:
        spec = content(files[origin])["zoo"]["model"]
        assert spec == zoo.load(str(files[origin])).spec | {"init_args": spec["init_args"]}
        assert spec["init_args"]["selector"]["init_args"]["patches"] == 20
        assert spec["init_args"]["base_scale"] == 0.5

    def test_it_needs_neither_a_download_nor_a_file(self, files: dict[str, Path], origin: str) -> None:
        spec = content(files[origin])["zoo"]["model"]
        assert "checkpoint" not in spec["init_args"]
        assert spec["init_args"]["backbone"]["init_args"]["pretrained"] is False

    def test_it_names_registered_classes_and_who_provides_them(self, files: dict[str, Path], origin: str) -> None:
        entry = content(files[origin])["zoo"]
        assert entry["plugins"]["TopK"].startswith("ablation-zoo ")
        assert entry["plugins"]["Tiny"].endswith("tiny.py")
        assert not [name for name in entry["plugins"] if "." in name]

    def test_the_command_line_validates_it_without_another_argument(
        self, files: dict[str, Path], origin: str, tiny, command
    ) -> None:
        outcome = command("validate", "--ckpt_path", files[origin], "--plugin", tiny.plugin)
        assert outcome.code == 0, outcome.err
        assert "validation/sad" in outcome.out


def test_weights_and_seed_of_a_fit_are_recorded(last: Path) -> None:
    whole = content(last)
    assert whole["zoo"]["seed"] == 3
    assert whole["zoo"]["name"] == "tiny"
    assert whole["zoo"]["data"]["class_path"] == "MattingData"
    assert "torch" in whole["zoo"]["versions"]
    assert "hyper_parameters" not in whole


def test_a_downloaded_or_warm_started_part_is_not_fetched_again(last: Path) -> None:
    model = zoo.create_model("bgmv2_mobilenetv2", checkpoint=str(last), backbone=BACKBONE, base_scale=0.5)
    model._arguments["backbone"]["init_args"]["pretrained"] = True  # as if it had been downloaded
    spec = describe(model, None)["model"]
    assert model.spec["init_args"]["checkpoint"] == str(last)
    assert "checkpoint" not in spec["init_args"]
    assert spec["init_args"]["backbone"]["init_args"]["pretrained"] is False
    assert build(spec).spec["init_args"]["checkpoint"] is None


def test_loading_does_not_need_the_data_s_plugin(last: Path) -> None:
    assert "Tiny" not in zoo.list_plugins("datasets")
    assert zoo.load(str(last)).network.base_scale == 0.5


def test_the_wrong_class_is_named(last: Path) -> None:
    class Other(BackgroundMatting):
        pass

    with pytest.raises(ZooError, match="holds a BackgroundMatting, expected a Other"):
        Other.load_from_checkpoint(last)


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("where", ["beside", "in the specs", "instead"])
def test_a_malicious_pickle_is_refused_and_nothing_runs(
    last: Path, tmp_path: Path, where: str, zipped: bool, command
) -> None:
    trap = tmp_path / "executed"
    whole: Any = content(last)
    if where == "beside":
        whole["callbacks"] = Malicious(trap)
    elif where == "in the specs":
        whole["zoo"]["model"]["init_args"]["metrics"] = Malicious(trap)
    else:
        whole = Malicious(trap)
    path = str(tmp_path / "evil.ckpt")
    torch.save(whole, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ZooError, match=r"evil\.ckpt was refused: .*mkdir.*nothing of it was run"):
        zoo.load(path)
    with pytest.raises(ZooError, match="was refused"):
        zoo.create_model("bgmv2_mobilenetv2", checkpoint=path)
    for words in (("validate",), ("fit", "--config", "matting/quickstart")):
        outcome = command(*words, "--ckpt_path", path)
        assert outcome.code == 1
        assert "was refused" in outcome.complaint
    assert not trap.exists()


FOREIGN: dict[str, Callable[[dict[str, Any]], None]] = {
    "selector": lambda model: model["init_args"].update(selector={"class_path": "foreign_code.Evil", "init_args": {}}),
    "model": lambda model: model.update(class_path="foreign_code.Evil"),
    "loss": lambda model: model["init_args"]["losses"].update(alpha={"class_path": "foreign_code.Evil"}),
    "callable": lambda model: model["init_args"].update(
        metrics={"class_path": "os.system", "init_args": {"command": "touch imported"}}
    ),
    "text": lambda model: model["init_args"].update(selector="foreign_code.Evil"),
    "text in a dict": lambda model: model["init_args"]["losses"].update(alpha="foreign_code.Evil"),
    "a file to read": lambda model: model["init_args"].update(selector="selector.yaml"),
}


@pytest.mark.parametrize("form", FOREIGN)
def test_a_class_that_is_not_registered_is_refused_and_not_imported(
    last: Path, tiny, tmp_path: Path, monkeypatch, command, selector_source, form: str
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    code = selector_source("Evil") + "\n\nfrom pathlib import Path\n\nPath(__file__).with_name('imported').touch()\n"
    (tmp_path / "foreign_code.py").write_text(code)
    (tmp_path / "selector.yaml").write_text("class_path: foreign_code.Evil\n")
    path = changed(last, tmp_path, lambda whole: FOREIGN[form](whole["zoo"]["model"]))
    with pytest.raises(ZooError):
        zoo.load(path)
    for name in ("validate", "fit"):
        outcome = command(name, "--ckpt_path", path, "--plugin", tiny.plugin)
        assert outcome.code == 1
        assert path in outcome.complaint
    assert not (tmp_path / "imported").exists()
    assert "foreign_code" not in sys.modules


def test_data_that_names_a_file_or_module_is_refused(last: Path, tiny, tmp_path: Path, command) -> None:
    def stage(whole: dict[str, Any]) -> None:
        whole["zoo"]["data"]["init_args"]["train"]["squares"]["dataset"] = "foreign_code.Evil"

    def all_of_it(whole: dict[str, Any]) -> None:
        whole["zoo"]["data"] = "data.yaml"

    for change in (stage, all_of_it):
        outcome = command("validate", "--ckpt_path", changed(last, tmp_path, change), "--plugin", tiny.plugin)
        assert outcome.code == 1
        assert "changed.ckpt" in outcome.complaint


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole.update(zoo="text"),
        lambda whole: whole["zoo"].pop("model"),
        lambda whole: whole["zoo"].update(model="bgmv2_resnet50"),
        lambda whole: whole["zoo"].pop("format"),
        lambda whole: whole["zoo"].pop("plugins"),
    ],
)
def test_a_damaged_description_is_named(last: Path, tmp_path: Path, damage: Callable[[dict[str, Any]], None]) -> None:
    with pytest.raises(ZooError, match=r"changed\.ckpt is damaged"):
        zoo.load(changed(last, tmp_path, damage))


def test_a_newer_format_asks_for_an_upgrade(last: Path, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="has format 2, this version reads up to 1: upgrade ablation-zoo"):
        zoo.load(changed(last, tmp_path, lambda whole: whole["zoo"].update(format=2)))


@pytest.mark.parametrize("kept", [0, 100, 0.5, -10], ids=str)
def test_a_truncated_file_is_named(last: Path, tmp_path: Path, kept: float) -> None:
    whole = last.read_bytes()
    part = tmp_path / "part.ckpt"
    part.write_bytes(whole[: int(len(whole) * kept) if isinstance(kept, float) else kept])
    with pytest.raises(
        ZooError, match=r"part\.ckpt is not a readable checkpoint \(truncated, or another kind of file\)"
    ):
        zoo.load(str(part))


@pytest.mark.parametrize(
    "data",
    [b"hello\n", b"a: 1\n", b"\x89PNG\r\n\x1a\n" + bytes(50)],
    ids=["text", "yaml", "png"],
)
def test_another_kind_of_file_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "other.ckpt").write_bytes(data)
    with pytest.raises(ZooError, match=r"other\.ckpt is not a readable checkpoint"):
        zoo.load(str(tmp_path / "other.ckpt"))


def test_a_missing_file_is_named(tmp_path: Path, command) -> None:
    with pytest.raises(ZooError, match=r"there is no checkpoint at nowhere\.ckpt"):
        zoo.load("nowhere.ckpt")
    outcome = command("validate", "--ckpt_path=nowhere.ckpt")
    assert (outcome.code, outcome.complaint) == (1, "zoo validate: there is no checkpoint at nowhere.ckpt.")


def test_weights_without_a_description_say_how_to_use_them(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "official.pth")
    with pytest.raises(
        ZooError,
        match=r"official\.pth does not say which model it holds .*create_model\('bgmv2_resnet50', checkpoint='official",
    ):
        zoo.load(str(tmp_path / "official.pth"))


def test_another_architecture_is_answered_with_what_differs(tmp_path: Path) -> None:
    half = {"class_path": "TimmBackbone", "init_args": {"name": "mobilenetv2_050"}}
    torch.save(
        {"state_dict": zoo.create_model("bgmv2_mobilenetv2", backbone=half).state_dict()}, tmp_path / "half.ckpt"
    )
    with pytest.raises(ZooError) as caught:
        zoo.create_model("bgmv2_mobilenetv2", checkpoint=str(tmp_path / "half.ckpt"))
    message = str(caught.value)
    assert "half.ckpt does not fit this model" in message
    assert "has shape (16, 6, 3, 3), expected (32, 6, 3, 3)" in message
    assert message.count(";") < 5, "a readable list, not all of it"
    assert "more" in message


def test_weights_that_do_not_fit_their_own_description_are_an_error(last: Path, tmp_path: Path) -> None:
    def damage(whole: dict[str, Any]) -> None:
        del whole["state_dict"]["network.refiner.conv1.weight"]
        whole["state_dict"]["network.extra"] = torch.zeros(1)

    with pytest.raises(ZooError, match=r"missing network\.refiner\.conv1\.weight; unexpected network\.extra"):
        zoo.load(changed(last, tmp_path, damage))


def test_a_plugin_that_is_gone_is_named_with_who_provided_it(last: Path, tiny, tmp_path: Path, command) -> None:
    def other_selector(whole: dict[str, Any]) -> None:
        whole["zoo"]["model"]["init_args"]["selector"] = {"class_path": "Stripes", "init_args": {}}
        whole["zoo"]["plugins"]["Stripes"] = "stripes-selector 2.3"

    path = changed(last, tmp_path, other_selector)
    with pytest.raises(
        ZooError,
        match=r"was made with 'Stripes' of stripes-selector 2\.3: it is not installed; pip install stripes-selector",
    ):
        zoo.load(path)
    assert "stripes-selector 2.3" in command("test", "--ckpt_path", path, "--plugin", tiny.plugin).complaint


def test_a_plugin_that_is_broken_is_named_with_the_reason(last: Path, tmp_path: Path, install) -> None:
    install(
        "stripes-selector", "2.4", {"zoo.selectors": {"Stripes": "stripes_plugin:Stripes"}}, {"stripes_plugin": "1 / 0"}
    )

    def other_selector(whole: dict[str, Any]) -> None:
        whole["zoo"]["model"]["init_args"]["selector"] = {"class_path": "Stripes", "init_args": {}}

    with pytest.raises(
        ZooError, match=r"'Stripes' is installed \(stripes-selector 2\.4\) but failed to load: ZeroDivisionError"
    ):
        zoo.load(changed(last, tmp_path, other_selector))


LOST = {
    "a plugin that is gone": {"class_path": "SobelLoss", "init_args": {}},
    "a renamed argument": {"class_path": "AlphaL1", "init_args": {"weigth": 1.0}},
}


def test_inference_needs_no_loss_terms_and_training_names_all_that_are_missing(
    last: Path, tiny, tmp_path: Path, command
) -> None:
    def lose(whole: dict[str, Any]) -> None:
        whole["zoo"]["model"]["init_args"]["losses"].update(LOST)
        whole["zoo"]["plugins"]["SobelLoss"] = "sobel-losses 2.3"
        whole["state_dict"]["losses.a plugin that is gone.kernel"] = torch.ones(3)

    path = changed(last, tmp_path, lose)
    model = zoo.load(path)
    assert torch.equal(model(*pictures()).alpha, zoo.load(str(last))(*pictures()).alpha)
    assert model.spec["init_args"]["losses"] == content(Path(path))["zoo"]["model"]["init_args"]["losses"]
    plugin = ("--plugin", tiny.plugin)
    assert command("validate", "--ckpt_path", path, *plugin).code == 0
    with pytest.raises(ZooError) as caught:
        quiet_trainer(tmp_path, max_epochs=1).fit(model.train(), datamodule=python_data())
    for part in ("'SobelLoss' of sobel-losses 2.3", "unexpected keyword argument 'weigth'", "Training needs them"):
        assert part in str(caught.value)
    assert "'SobelLoss' of sobel-losses 2.3" in command("fit", "--ckpt_path", path, *plugin).complaint


def test_every_class_that_training_misses_is_in_one_sentence(last: Path, tiny, tmp_path: Path, command) -> None:
    def lose(whole: dict[str, Any]) -> None:
        whole["zoo"]["model"]["init_args"]["losses"] = {
            name: {"class_path": name} for name in ("SobelLoss", "HairLoss")
        }

    complaint = command("fit", "--ckpt_path", changed(last, tmp_path, lose), "--plugin", tiny.plugin).complaint
    assert "'SobelLoss'" in complaint
    assert "'HairLoss'" in complaint


def test_a_file_asks_for_no_download(last: Path, tmp_path: Path) -> None:
    def ask(whole: dict[str, Any]) -> None:
        whole["zoo"]["model"]["init_args"]["backbone"]["init_args"]["pretrained"] = True
        whole["zoo"]["model"]["init_args"]["checkpoint"] = "bgmv2_resnet50-official"

    spec = zoo.load(changed(last, tmp_path, ask)).spec["init_args"]
    assert spec["backbone"]["init_args"]["pretrained"] is False
    assert spec["checkpoint"] is None


def sparse(value: Tensor) -> Tensor:
    return value.to_sparse()


def meta(value: Tensor) -> Tensor:
    return value.to("meta")


def quantised(value: Tensor) -> Tensor:
    return torch.quantize_per_tensor(value.contiguous(), 0.1, 0, torch.qint8)


def repeated(value: Tensor) -> Tensor:
    return torch.zeros(1).expand(10**9)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (sparse, "conv1.weight' is sparse; expected numbers that are all in the file"),
        (meta, r"conv1.weight' is without numbers \(meta\)"),
        pytest.param(quantised, "conv1.weight' is quantised", marks=pytest.mark.filterwarnings("ignore:.*quantize")),
        (repeated, r"its tensors ask for 4,0.* bytes, and the file has"),
    ],
)
def test_weights_of_an_odd_kind_are_refused_before_they_take_memory(
    last: Path, tmp_path: Path, change: Callable[[Tensor], Tensor], sentence: str
) -> None:
    def alter(whole: dict[str, Any]) -> None:
        state = whole["state_dict"]
        state["network.decoder.conv1.weight"] = change(state["network.decoder.conv1.weight"])

    path = changed(last, tmp_path, alter)
    for use in (zoo.load, lambda path: zoo.create_model("bgmv2_mobilenetv2", checkpoint=path)):
        with pytest.raises(ZooError, match=rf"changed\.ckpt was refused: .*{sentence}"):
            use(path)


def test_weights_without_a_name_are_refused(last: Path, tmp_path: Path) -> None:
    path = changed(last, tmp_path, lambda whole: whole["state_dict"].update({0: torch.zeros(1)}))
    with pytest.raises(ZooError, match="it names a weight 0; expected text"):
        zoo.load(path)
    torch.save({0: torch.zeros(1)}, path)
    with pytest.raises(ZooError, match="it names a weight 0; expected text"):
        zoo.create_model("bgmv2_mobilenetv2", checkpoint=path)


def test_a_compressed_file_is_refused(last: Path, tmp_path: Path) -> None:
    path = tmp_path / "packed.ckpt"
    with zipfile.ZipFile(last) as archive, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in archive.namelist():
            packed.writestr(name, archive.read(name))
    with pytest.raises(ZooError, match="it is compressed, which no checkpoint is"):
        zoo.load(str(path))


def test_a_file_does_not_choose_where_data_is_cached(last: Path, tmp_path: Path) -> None:
    def cache(whole: dict[str, Any]) -> None:
        dataset = {"class_path": "SyntheticMattes", "init_args": {"count": 1, "cache": str(tmp_path / "anywhere")}}
        whole["zoo"]["data"]["init_args"]["test"]["one"]["dataset"] = dataset

    path = changed(last, tmp_path, cache)
    data = record(content(Path(path)), path)["data"]
    assert data["init_args"]["test"]["one"]["dataset"]["init_args"] == {"count": 1, "cache": None}


WRAPPED: dict[str, Callable[[dict[str, Tensor]], dict[str, Any]]] = {
    "bare": lambda state: state,
    "DataParallel": lambda state: {f"module.{key}": value for key, value in state.items()},
    "compiled": lambda state: {f"_orig_mod.{key}": value for key, value in state.items()},
    "Lightning": lambda state: {"state_dict": {f"model.{key}": value for key, value in state.items()}},
    "compiled and parallel": lambda state: {
        "model": {f"module._orig_mod.{key}": value for key, value in state.items()}
    },
    "averaged": lambda state: {
        "state_dict": {key: value * 0 for key, value in state.items()},
        "state_dict_ema": {"n_averaged": torch.tensor(3)} | {f"module.{key}": value for key, value in state.items()},
    },
}


@pytest.mark.parametrize("form", WRAPPED)
def test_weights_load_whatever_wrapped_their_network(last: Path, tmp_path: Path, form: str) -> None:
    expected = zoo.load(str(last)).network.state_dict()
    torch.save(WRAPPED[form](expected), tmp_path / "wrapped.pth")
    arguments = {"backbone": BACKBONE, "base_scale": 0.5}
    model = zoo.create_model("bgmv2_mobilenetv2", checkpoint=str(tmp_path / "wrapped.pth"), **arguments)
    assert all(torch.equal(value, expected[key]) for key, value in model.network.state_dict().items())


def test_a_checkpoint_of_a_compiled_network_loads(last: Path, tiny, tmp_path: Path, command) -> None:
    def compile_network(whole: dict[str, Any]) -> None:
        state = whole["state_dict"]
        whole["state_dict"] = {key.replace("network.", "network._orig_mod.", 1): state[key] for key in state}

    path = changed(last, tmp_path, compile_network)
    assert torch.equal(zoo.load(path)(*pictures()).alpha, zoo.load(str(last))(*pictures()).alpha)
    assert command("validate", "--ckpt_path", path, "--plugin", tiny.plugin).code == 0
