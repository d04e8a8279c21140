"""Values and expressions as users of the official Python client write them: loops, mutations, JSON, casts, structs, arrays
and maps."""

import asyncio
import json

import grpc
import littlehorse
import pytest
from littlehorse.lh_struct import lh_struct_def
from littlehorse.model import (
    Array,
    InlineArrayDef,
    InlineMapDef,
    LHStatus,
    ListVariablesRequest,
    Map,
    RunWfRequest,
    StructDefId,
    TypeDefinition,
    VariableType,
    VariableValue,
)
from littlehorse.workflow import Workflow, WorkflowThread

INT = TypeDefinition(primitive_type=VariableType.INT)
STR = TypeDefinition(primitive_type=VariableType.STR)
INTS = TypeDefinition(inline_array_def=InlineArrayDef(array_type=INT))
PRICES = TypeDefinition(inline_map_def=InlineMapDef(key_type=STR, value_type=INT))


async def run(server, name, inputs):
    """Runs it to its end; the status, and the values of its variables."""
    stub = server.config().stub(name=name, async_channel=True)
    given = {
        key: value if isinstance(value, VariableValue) else littlehorse.to_variable_value(value)
        for key, value in inputs.items()
    }
    started = await stub.RunWf(RunWfRequest(wf_spec_name=name, variables=given))
    listed = await stub.ListVariables(ListVariablesRequest(wf_run_id=started.id))
    return started.status, {variable.id.name: variable.value for variable in listed.results}


def put(server, name, wf, types=None):
    """Registers a workflow. The client has no words for arrays and maps: `types` says which variables are such."""
    request = Workflow(name, wf).compile()
    for thread in request.thread_specs.values():
        for definition in thread.variable_defs:
            if definition.var_def.name in (types or {}):
                definition.var_def.ClearField("type")
                definition.var_def.type_def.CopyFrom(types[definition.var_def.name])
    return server.config().stub().PutWfSpec(request)


def test_a_while_loop_adds_up(server, unique):
    def wf(thread: WorkflowThread) -> None:
        number = thread.declare_int("number").required()
        total = thread.declare_int("total", 0)

        def body(loop: WorkflowThread) -> None:
            total.assign(total.add(number))
            number.assign(number.subtract(1))

        thread.do_while(number.is_greater_than(0), body)

    put(server, unique, wf)
    status, values = asyncio.run(run(server, unique, {"number": 4}))
    assert status == LHStatus.COMPLETED
    assert (values["number"].int, values["total"].int) == (0, 10)


def test_json_is_read_and_written_by_path(server, unique):
    def wf(thread: WorkflowThread) -> None:
        order = thread.declare_json_obj("order").required()
        city = thread.declare_str("city")
        first = thread.declare_int("first")
        lines = thread.declare_int("lines")
        none = thread.declare_str("none")
        tags = thread.declare_json_arr("tags")
        city.assign(order.with_json_path("$.to.city"))
        first.assign(order.with_json_path("$.lines[0].count"))
        lines.assign(order.with_json_path("$.lines.length()"))
        none.assign(order.with_json_path("$.to.street"))
        order.with_json_path("$.to.city").assign("Graz")
        tags.assign(["a", "b", "a"])
        tags.assign(tags.remove_if_present("a"))

    put(server, unique, wf)
    order = {"to": {"city": "Wien"}, "lines": [{"count": 3}, {"count": 1}]}
    status, values = asyncio.run(run(server, unique, {"order": order}))
    assert status == LHStatus.COMPLETED
    assert (values["city"].str, values["first"].int, values["lines"].int) == ("Wien", 3, 2)
    assert values["none"].WhichOneof("value") is None
    assert json.loads(values["order"].json_obj)["to"] == {"city": "Graz"}
    assert json.loads(values["tags"].json_arr) == ["b"]


def test_casts(server, unique):
    def wf(thread: WorkflowThread) -> None:
        text = thread.declare_str("text").required()
        number = thread.declare_int("number")
        part = thread.declare_double("part")
        yes = thread.declare_bool("yes")
        number.assign(text.cast_to_int())
        part.assign(number.cast_to_double().divide(8))
        yes.assign(thread.declare_str("said", "TRUE").cast_to_bool())

    put(server, unique, wf)
    status, values = asyncio.run(run(server, unique, {"text": "12"}))
    assert status == LHStatus.COMPLETED
    assert (values["number"].int, values["part"].double, values["yes"].bool) == (12, 1.5, True)
    status, values = asyncio.run(run(server, unique, {"text": "twelve"}))
    assert status == LHStatus.ERROR
    assert values["number"].WhichOneof("value") is None

    def impossible(thread: WorkflowThread) -> None:
        thread.declare_bool("yes").assign(thread.declare_double("part").cast_to_bool())

    with pytest.raises(grpc.RpcError) as refused:
        put(server, f"{unique}-no", impossible)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "Cannot cast from DOUBLE to BOOL. This conversion is not supported." in refused.value.details()


def test_structs(server, unique):
    @lh_struct_def(f"address-{unique}")
    class Address:
        city: str
        zip: int

    @lh_struct_def(f"person-{unique}")
    class Person:
        name: str
        home: Address

    config = server.config()
    for schema in (Address, Person):
        littlehorse.create_struct_def(schema, config)
    stored = config.stub().GetStructDef(StructDefId(name=f"person-{unique}", version=-1))
    assert sorted(stored.struct_def.fields) == ["home", "name"]

    def wf(thread: WorkflowThread) -> None:
        person = thread.declare_struct("person", Person).required()
        city = thread.declare_str("city")
        city.assign(person.get("home").get("city"))

    put(server, unique, wf)
    person = Person(name="Anna", home=Address(city="Graz", zip=1))
    status, values = asyncio.run(run(server, unique, {"person": person}))
    assert status == LHStatus.COMPLETED
    assert values["city"].str == "Graz"
    kept = values["person"].struct
    assert kept.struct_def_id.version == 0
    assert kept.struct.fields["home"].value.struct.struct.fields["zip"].value.int == 1
    with pytest.raises(grpc.RpcError) as refused:
        asyncio.run(run(server, unique, {"person": "Anna"}))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "person" in refused.value.details()


def test_arrays_and_maps(server, unique):
    def wf(thread: WorkflowThread) -> None:
        numbers = thread.declare_json_arr("numbers").required()
        prices = thread.declare_json_obj("prices").required()
        second = thread.declare_int("second")
        price = thread.declare_int("price")
        none = thread.declare_int("none")
        numbers.assign(numbers.extend(4))
        second.assign(numbers.get(1))
        price.assign(prices.get("pear"))
        none.assign(prices.get("plum"))
        prices.assign(prices.remove_key("pear"))

    made = put(server, unique, wf, {"numbers": INTS, "prices": PRICES})
    types = {d.var_def.name: d.var_def.type_def for d in made.thread_specs["entrypoint"].variable_defs}
    assert types["numbers"] == INTS and types["prices"] == PRICES
    whole = [VariableValue(int=number) for number in (1, 2, 3)]
    entries = [
        Map.Entry(key=VariableValue(str=name), value=VariableValue(int=price))
        for name, price in (("apple", 5), ("pear", 7))
    ]
    inputs = {
        "numbers": VariableValue(array=Array(items=whole)),
        "prices": VariableValue(map=Map(entries=entries)),
    }
    status, values = asyncio.run(run(server, unique, inputs))
    assert status == LHStatus.COMPLETED
    assert [item.int for item in values["numbers"].array.items] == [1, 2, 3, 4]
    assert values["numbers"].array.element_type == INT
    assert (values["second"].int, values["price"].int) == (2, 7)
    assert values["none"].WhichOneof("value") is None
    assert [entry.key.str for entry in values["prices"].map.entries] == ["apple"]
    mixed = VariableValue(array=Array(items=[VariableValue(int=1), VariableValue(str="x")]))
    with pytest.raises(grpc.RpcError) as refused:
        asyncio.run(run(server, unique, {**inputs, "numbers": mixed}))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "numbers" in refused.value.details()
