"""What JSON in a file may hold, as types that :mod:`msgspec` checks.

To add a field to the ``.slmu`` format: give it a line with a default here, in
:class:`PopulationPart`, :class:`ProjectionPart` or :class:`Manifest`, so that older files still
read; write it in :func:`spiking_lmu.graph.model.describe_graph` or
:func:`spiking_lmu.files.slmu.save`; hand it on in :mod:`spiking_lmu.files.slmu`; and say so in
``docs/format.md``.  A field that is written and not read back changes the model's digest, which
is in the manifest, so that forgetting one of these is an error at the first save.

Numbers keep their type: a whole number in a float's place stays one, so that what was saved
and what is read have the same digest.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from msgspec import Meta, Struct, ValidationError, convert

from spiking_lmu.graph.graph import DEFAULT_DT

from .archive import Refused

T = TypeVar("T")

#: Parts of a graph, and neurons of all its populations: a chip holds some hundred thousand.
MAX_POPULATIONS, MAX_PROJECTIONS, MAX_NEURONS = 1_000, 4_000, 1_000_000
#: Bytes of provenance, which is for people to read.
MAX_PROVENANCE = 1 << 20
#: Sizes outside of which a measured activity is no measurement; 0 is a population that is dead.
LEAST, MOST = 1e-30, 1e30

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(max_length=2_000)]
Reference = Annotated[str, Meta(pattern=r"^arrays/[0-9a-f]{24}\.npy$")]
Count = Annotated[int, Meta(ge=0, le=1 << 40)]
Number = int | float
Sizes = Annotated[list[Count], Meta(max_length=8)]
Pair = Annotated[list[Count], Meta(min_length=2, max_length=2)]
Pairs = Annotated[list[Pair], Meta(max_length=8)]


def checked(document: Any, kind: type[T], what: str = "a document") -> T:
    """``document`` as a ``kind``, nothing converted but lists to what holds them.

    Raises
    ------
    Refused
        Anything that is not of this type, by the place in the document.
    """
    try:
        return convert(document, kind, strict=True)
    except ValidationError as error:
        raise Refused(f"{what} that does not follow the format ({error})") from error
    except (RecursionError, OverflowError) as error:
        raise Refused(f"{what} that does not follow the format ({type(error).__name__})") from error


class Strict(Struct, forbid_unknown_fields=True):
    """A JSON object with these fields and no others."""


class ArrayEntry(Strict):
    """What the manifest says of one array."""

    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    bytes: Count
    shape: Sizes
    dtype: Literal["<f4", "<f8"]


class NeuronEntry(Strict):
    """See :class:`spiking_lmu.graph.neurons.Neuron`."""

    kind: Name
    amplitude: Number = 1.0
    tau_rc: Number = 0.02
    tau_ref: Number = 0.002
    sigma: Number = 0.02


class SparseEntry(Strict, tag_field="kind", tag="sparse"):
    """See :class:`spiking_lmu.graph.transforms.Sparse`."""

    size: Pair


class ConvolutionEntry(Strict, tag_field="kind", tag="convolution"):
    """See :class:`spiking_lmu.graph.transforms.Convolution`."""

    input_shape: Sizes
    strides: Sizes
    padding: Pairs
    groups: Count
    dilation: Sizes


class AveragePoolEntry(Strict, tag_field="kind", tag="average_pool"):
    """See :class:`spiking_lmu.graph.transforms.AveragePool`."""

    input_shape: Sizes
    pool: Sizes
    strides: Sizes
    padding: Pairs


class GraphPart(Strict, tag_field="part", tag="graph"):
    """The first part of a graph."""

    input: Name
    output: Name
    arrays: Annotated[dict[str, Reference], Meta(max_length=0)] = {}
    dt: Number = DEFAULT_DT


class PopulationPart(Strict, tag_field="part", tag="population"):
    """See :class:`spiking_lmu.graph.graph.Population`."""

    name: Name
    size: Annotated[int, Meta(ge=1, le=MAX_NEURONS)]
    neuron: NeuronEntry
    scale: Number
    arrays: dict[str, Reference]
    on_host: bool = False
    pulse: int | None = None

    def __post_init__(self) -> None:
        _require_printable(self.name)
        if set(self.arrays) != {"gain", "bias"}:
            raise ValueError("a population has the arrays gain and bias, and no others")


class ProjectionPart(Strict, tag_field="part", tag="projection"):
    """See :class:`spiking_lmu.graph.graph.Projection`."""

    name: Name
    pre: Name
    post: Name
    tau: Number | None
    delay: Literal[0, 1]
    trainable: bool
    arrays: dict[str, Reference] = {}
    transform: SparseEntry | ConvolutionEntry | AveragePoolEntry | None = None
    begins: int = 0
    mean_from: int | None = None

    def __post_init__(self) -> None:
        _require_printable(self.name)
        sparse = isinstance(self.transform, SparseEntry)
        if not set(self.arrays) <= {"weights", *(("rows", "columns") if sparse else ())}:
            raise ValueError("an array that is no part of a projection")


Part = GraphPart | PopulationPart | ProjectionPart
Parts = Annotated[list[Part], Meta(min_length=2, max_length=1 + MAX_POPULATIONS + MAX_PROJECTIONS)]


class TimingEntry(Strict):
    """See :class:`spiking_lmu.graph.timing.Timing`."""

    steps_per_input: int
    settle_steps: int
    readout_tau: Number
    dt: Number


Measured = Annotated[int, Meta(ge=0, le=1 << 62)] | Annotated[float, Meta(ge=0, le=MOST)]


class ActivityEntry(Strict):
    """See :class:`spiking_lmu.graph.model.Activity`."""

    p999: Measured
    largest: Measured
    current: Measured
    largest_current: Measured

    def __post_init__(self) -> None:
        for value in (self.p999, self.largest, self.current, self.largest_current):
            if 0 < value < LEAST:
                raise ValueError(f"{value} is too small to have been measured")


class TaskEntry(Strict):
    """See :class:`spiking_lmu.graph.task.Task`."""

    kind: Name
    when: Name
    names: Annotated[list[Name], Meta(max_length=100_000)]
    metric: Name


class ScalingEntry(Strict):
    """See :class:`spiking_lmu.graph.task.Scaling`."""

    offset: Annotated[list[Number], Meta(max_length=MAX_NEURONS)]
    range: Annotated[list[Number], Meta(max_length=MAX_NEURONS)]


class Graphs(Strict):
    """The graph, and the rate graph that it was converted from."""

    graph: Parts
    rate_graph: Parts | None = None


class Manifest(Strict):
    """``manifest.json`` of a ``.slmu`` file of any version that can be read."""

    format: Literal["spiking-lmu"]
    format_version: Literal[1, 2]
    task: TaskEntry | Literal["classification", "regression"]
    timing: TimingEntry
    activity: Annotated[dict[Name, ActivityEntry], Meta(max_length=2 * MAX_POPULATIONS)]
    graphs: Graphs
    arrays: Annotated[dict[Reference, ArrayEntry], Meta(max_length=10_000)]
    provenance: dict[str, Any]
    scaling: ScalingEntry | None = None
    digest: str = ""

    def __post_init__(self) -> None:
        word = isinstance(self.task, str)
        if word is not (self.format_version == 1):
            raise ValueError("a task is one word in version 1 and an object in version 2")
        for parts in filter(None, (self.graphs.graph, self.graphs.rate_graph)):
            _require_graph(parts)
        for key in ("training", "conversion", "imported_from", "changed_model"):
            if not isinstance(self.provenance.get(key, {}), dict):
                raise ValueError(f"{key} in the provenance is no object")


def _require_graph(parts: list[Part]) -> None:
    if not isinstance(parts[0], GraphPart) or any(isinstance(p, GraphPart) for p in parts[1:]):
        raise ValueError("the first part of a graph, and no other, names its input and output")
    populations = [part for part in parts if isinstance(part, PopulationPart)]
    if len(populations) > MAX_POPULATIONS:
        raise ValueError(f"{len(populations):,} populations, more than {MAX_POPULATIONS:,}")
    if len(parts) - 1 - len(populations) > MAX_PROJECTIONS:
        raise ValueError(f"more than {MAX_PROJECTIONS:,} projections")
    neurons = sum(part.size for part in populations)
    if neurons > MAX_NEURONS:
        raise ValueError(f"{neurons:,} neurons, more than {MAX_NEURONS:,}")


def _require_printable(name: str) -> None:
    if not name.isprintable():
        raise ValueError("a name with control characters")


class NamedParameter(Strict):
    """One parameter of a file that ``spiking-lmu export`` wrote."""

    name: Annotated[str, Meta(min_length=1, max_length=400)]
    kind: Text
    pre: Text
    post: Text
    description: Text
    trainable: bool | None
    shape: Sizes
    dtype: Annotated[str, Meta(max_length=4)]


class NamedManifest(Strict):
    """``parameters.json`` of such a file."""

    format: Literal["spiking-lmu parameters"]
    format_version: Literal[1]
    parameters: Annotated[list[NamedParameter], Meta(max_length=10_000)]


class CheckpointManifest(Strict):
    """``manifest.json`` of a checkpoint: what the run was asked for, and its learning curve."""

    settings: dict[str, Any]
    curve: Annotated[list[dict[Name, float]], Meta(max_length=100_000)]


Joules = Annotated[float, Meta(ge=0, le=1)]
Words = Annotated[str, Meta(min_length=1, max_length=2_000, pattern=r"\S")]


class DeviceEntry(Strict):
    """See :class:`spiking_lmu.analysis.energy.devices.Device`."""

    name: Words
    event_driven: bool
    joules_per_synop: Joules
    joules_per_neuron_update: Joules
    source: Words
    note: Text = ""
    joules_per_idle_update: Joules | None = None


class DeviceTable(Struct):
    """A table of devices."""

    devices: Annotated[list[DeviceEntry], Meta(max_length=1_000)]


class RowOptions(Struct):
    """What a row of a report says of its run; most of it is for people."""

    model_digest: Text = ""


class ReportRow(Struct):
    """A row of ``spiking-lmu compare --json``, as far as its counts are concerned."""

    target: Text
    verdict: Text
    n: Count
    steps: Count
    options: RowOptions
    spikes_per_sample_by_population: dict[Text, Annotated[float, Meta(ge=0)]]
    placement: dict[Text, Text]
    host_spikes_per_sample_by_connection: dict[Text, Annotated[float, Meta(ge=0)]] | None = None
    #: Differs from ``steps``, of the longest sample, where samples differ in length; 0 is unknown.
    mean_steps: Annotated[float, Meta(ge=0, le=1e12)] = 0.0


class ReportTable(Struct):
    """The rows of such a report."""

    rows: Annotated[list[ReportRow], Meta(max_length=10_000)]


class RecordedEntry(Strict):
    """``recorded.json`` of kept traces; populations by the number of the sample."""

    notes: Annotated[list[str], Meta(max_length=1_000)]
    placement: dict[Name, Text]
    verifies: bool
    populations: dict[str, list[Name]]
