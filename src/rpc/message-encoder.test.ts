import assert from "node:assert/strict";
import { test } from "node:test";
import {
  create,
  createFileRegistry,
  type DescMessage,
  ScalarType,
  toBinary,
} from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { FixedWriter, MessageEncoder } from "./message-encoder.ts";

const scalarTypes = Object.values(ScalarType).filter((type) => typeof type === "number");
const enumType = FieldDescriptorProto_Type.ENUM;
const messageType = FieldDescriptorProto_Type.MESSAGE;
/** The numbers of scalar types are those of the types of fields. */
const types: readonly number[] = [...scalarTypes, enumType, messageType];

/** Each type alone, optional, in both kinds of lists, and as a choice of a oneof. */
function anyDesc(): DescMessage {
  const forms = ["implicit", "optional", "list", "unpacked", "choice"] as const;
  const oneofs = types.map((type) => ({ name: `_optional_${type}` }));
  const field = types.flatMap((type, index) =>
    forms.map((form, place) => ({
      name: `${form}_${type}`,
      // Tags of one byte and of more, not in the order of their numbers.
      number: 1 + (forms.length - place) * 100 - index,
      type,
      label:
        form === "list" || form === "unpacked"
          ? FieldDescriptorProto_Label.REPEATED
          : FieldDescriptorProto_Label.OPTIONAL,
      ...(type === enumType ? { typeName: ".test.Color" } : {}),
      ...(type === messageType ? { typeName: ".test.Any" } : {}),
      ...(form === "unpacked" ? { options: { packed: false } } : {}),
      ...(form === "choice" ? { oneofIndex: 0 } : {}),
      ...(form === "optional" ? { proto3Optional: true, oneofIndex: index + 1 } : {}),
    })),
  );
  const file = create(FileDescriptorProtoSchema, {
    name: "any.proto",
    package: "test",
    syntax: "proto3",
    messageType: [{ name: "Any", field, oneofDecl: [{ name: "choice" }, ...oneofs] }],
    enumType: [{ name: "Color", value: [{ name: "NONE" }, { name: "RED", number: 1 }] }],
  });
  const set = create(FileDescriptorSetSchema, { file: [file] });
  const desc = createFileRegistry(set).getMessage("test.Any");
  assert.ok(desc !== undefined, "the message is registered");
  return desc;
}

const desc = anyDesc();

/** Values of a type, those at the edges often, and now and then what the type does not allow. */
function anyValue(type: number, depth: number): fc.Arbitrary<unknown> {
  const bigints = (min: bigint, max: bigint) =>
    fc.oneof(fc.constantFrom(0n, min, max), fc.bigInt({ min, max }));
  switch (type) {
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.STRING:
      return fc.oneof(fc.string(), fc.string({ unit: "binary", maxLength: 300 }));
    case ScalarType.BYTES:
      return fc.uint8Array({ maxLength: 300 });
    case ScalarType.FLOAT:
    case ScalarType.DOUBLE:
      return fc.oneof(
        fc.float(),
        fc.constantFrom(0, -0, 1e39, Number.NaN, Number.NEGATIVE_INFINITY),
      );
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return fc.oneof(bigints(-(2n ** 63n), 2n ** 63n - 1n), fc.constantFrom(2n ** 63n, "7", 7));
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return fc.oneof(bigints(0n, 2n ** 64n - 1n), fc.constantFrom(-1n, 2n ** 64n, "7", "0"));
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return fc.oneof(fc.nat(), fc.constantFrom(0, -0, 2 ** 32 - 1, 2 ** 32, -1, 1.5, "7"));
    case messageType:
      return depth > 2 ? fc.constant(create(desc)) : anyMessage(depth + 1);
    default:
      return fc.oneof(fc.integer(), fc.constantFrom(0, -0, -1, -(2 ** 31), 2 ** 31, 1.5, "7"));
  }
}

/** With a few of its fields. */
function anyMessage(depth = 0): fc.Arbitrary<unknown> {
  const field = fc.constantFrom(...desc.fields).chain((chosen) => {
    const type = Number(/\d+/.exec(chosen.name)?.[0]);
    const value = anyValue(type, depth);
    const content = chosen.fieldKind === "list" ? fc.array(value, { maxLength: 4 }) : value;
    return content.map((given): [string, unknown] => {
      const { localName } = chosen;
      return chosen.oneof === undefined
        ? [localName, given]
        : ["choice", { case: localName, value: given }];
    });
  });
  return fc
    .array(field, { maxLength: depth === 0 ? 6 : 2 })
    .map((fields) => Object.assign(create(desc), Object.fromEntries(fields)));
}

function encodedBy(message: unknown, capacity = 100_000): Uint8Array | undefined {
  const out = new FixedWriter(capacity);
  const encoder = MessageEncoder.of(desc);
  assert.ok(encoder !== undefined, "the message is plain");
  return encoder.encode(message as never, out) ? out.memory.slice(0, out.at) : undefined;
}

function encodedByProtobuf(message: unknown): Uint8Array | undefined {
  try {
    return toBinary(desc, message as never);
  } catch {
    return undefined;
  }
}

test("writes what toBinary writes, or leaves the message to it", () => {
  let written = 0;
  fc.assert(
    fc.property(anyMessage(), (message) => {
      const ours = encodedBy(message);
      if (ours !== undefined) {
        written += 1;
        const expected = encodedByProtobuf(message);
        assert.ok(expected !== undefined, "toBinary refuses what we have written");
        assert.equal(Buffer.from(ours).toString("hex"), Buffer.from(expected).toString("hex"));
      }
    }),
    { numRuns: 3_000 },
  );
  assert.ok(written > 500, `${written} messages were written`);
});

test("a message that is as its type says is never left to toBinary", () => {
  for (const [type, value] of [
    [ScalarType.STRING, "grün"],
    [ScalarType.STRING, "x".repeat(500)],
    [ScalarType.BYTES, new Uint8Array(100)],
    [ScalarType.INT32, -1],
    [ScalarType.SINT64, -(2n ** 63n)],
    [ScalarType.UINT64, 2n ** 64n - 1n],
    [ScalarType.DOUBLE, Number.NaN],
    [enumType, -5],
    [messageType, create(desc, { [`list${ScalarType.INT32}`]: [1, 2, 300] })],
  ] as const) {
    const message = create(desc, {
      [`implicit${type}`]: value,
      [`optional${type}`]: value,
      [`list${type}`]: [value, value],
      [`unpacked${type}`]: [value],
      choice: { case: `choice${type}`, value },
    });
    assert.deepEqual(encodedBy(message), toBinary(desc, message));
  }
});

test("stops where there is no room, at each byte", () => {
  const inner = create(desc, { [`implicit${ScalarType.STRING}`]: "x".repeat(200) });
  const message = create(desc, {
    [`implicit${messageType}`]: inner,
    [`list${ScalarType.DOUBLE}`]: [1, 2],
    [`implicit${ScalarType.FIXED32}`]: 7,
    [`implicit${ScalarType.FLOAT}`]: 7,
    [`implicit${ScalarType.FIXED64}`]: 7n,
  });
  const whole = toBinary(desc, message);
  for (let capacity = 0; capacity < whole.length + 20; capacity += 1) {
    const ours = encodedBy(message, capacity);
    if (ours !== undefined) {
      assert.deepEqual(ours, whole);
    }
    assert.ok(ours === undefined || capacity >= whole.length, `${capacity} bytes were enough`);
  }
  assert.deepEqual(encodedBy(message, whole.length + 20), whole);
});

test("leaves unknown fields, and messages of another type, to toBinary", () => {
  const unknown = create(desc);
  unknown.$unknown = [{ no: 1_000, wireType: 0, data: Uint8Array.of(1) }];
  assert.equal(encodedBy(unknown), undefined);
  assert.equal(encodedBy({ $typeName: "test.Other" }), undefined);
});

test("knows what it has no way for", () => {
  assert.equal(MessageEncoder.of(FileDescriptorSetSchema), undefined);
});
