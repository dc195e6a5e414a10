import {
  Button,
  Fieldset,
  JsonInput,
  MultiSelect,
  NumberInput,
  PasswordInput,
  Select,
  Stack,
  Switch,
  TagsInput,
  Textarea,
  TextInput,
} from "@mantine/core";
import { plain } from "../words";

/** As much of JSON Schema as the contracts use. */
export interface Schema {
  $ref?: string;
  $defs?: Record<string, Schema>;
  type?: string;
  const?: unknown;
  enum?: unknown[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  description?: string;
  default?: unknown;
  examples?: unknown[];
  format?: string;
  writeOnly?: boolean;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
}

/** Schemas by name, which references lead to. */
export type Definitions = Record<string, Schema>;
export type Values = Record<string, unknown>;

const LONG = 1_000;
const MANY_LINES = /pem|private_key|certificate$|ca_bundle|body/;

/** Return what a schema comes to: references are followed, and of a choice with nothing the something is taken. */
export function resolved(schema: Schema, definitions: Definitions): Schema {
  if (schema.$ref) {
    const named = definitions[schema.$ref.split("/").at(-1) ?? ""] ?? {};
    return resolved(
      { ...named, ...(schema.description ? { description: schema.description } : {}) },
      definitions,
    );
  }
  const choices = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  const [chosen] = choices?.filter((each) => each.type !== "null") ?? [];
  if (!chosen) return schema;
  const { anyOf: _any, oneOf: _one, allOf: _all, ...own } = schema;
  return { ...resolved(chosen, definitions), ...own };
}

/** Return some fields of what is shown, for a form to begin with. */
export function picked(of: object, names: string[]): Values {
  const known = of as Values;
  return Object.fromEntries(names.map((name) => [name, known[name] ?? undefined]));
}

interface FieldsProps {
  schema: Schema;
  definitions: Definitions;
  values: Values;
  onChange: (values: Values) => void;
  /** Those to be asked for, in this order; left out, all. */
  only?: string[];
  /** What a field takes where another field decides it. */
  replaced?: Record<string, Schema>;
  /** Choices of what else there is, by the name of the field: ids of teams, say. */
  choices?: Record<string, { value: string; label: string }[]>;
  /** Nothing of it has to be given. */
  isOptional?: boolean;
}

/** The fields of an object, as its schema says. */
export function Fields({
  schema,
  definitions,
  values,
  onChange,
  only,
  replaced,
  choices,
  isOptional = false,
}: FieldsProps) {
  const known = { ...resolved(schema, definitions).properties, ...replaced };
  const required = resolved(schema, definitions).required ?? [];
  return (
    <Stack gap="sm">
      {(only ?? Object.keys(known))
        .filter((name) => known[name])
        .map((name) => (
          <Field
            key={name}
            name={name}
            schema={known[name] as Schema}
            definitions={{ ...definitions, ...known[name]?.$defs }}
            isRequired={!isOptional && required.includes(name)}
            value={values[name]}
            onChange={(value) => onChange({ ...values, [name]: value })}
            choices={choices?.[name]}
          />
        ))}
    </Stack>
  );
}

const INITIALS = /\b(url|ca|pem|tls|dns|api|http|https|snmp|ssh|ip|id)\b/g;

/** Return what people call a field. */
function labelOf(name: string): string {
  const words = plain(name).replace(INITIALS, (initials) => initials.toUpperCase());
  return words.replace(/^./, (letter) => letter.toUpperCase());
}

interface FieldProps {
  name: string;
  schema: Schema;
  definitions: Definitions;
  isRequired: boolean;
  value: unknown;
  onChange: (value: unknown) => void;
  choices?: { value: string; label: string }[] | undefined;
}

function Field({ name, schema, definitions, isRequired, value, onChange, choices }: FieldProps) {
  const what = resolved(schema, definitions);
  const example = what.examples?.[0];
  const label = labelOf(name);
  const shared = { label, description: what.description, required: isRequired };
  const placeholder = typeof example === "string" || typeof example === "number" ? String(example) : "";
  const text = typeof value === "string" ? value : "";
  const texts = Array.isArray(value) ? value.map(String) : [];
  const orNothing = (given: string) => onChange(given === "" ? undefined : given);
  if (what.type === "array") {
    const item = resolved(what.items ?? {}, definitions);
    const data = choices ?? item.enum?.map(String);
    if (data) {
      return <MultiSelect {...shared} data={data} value={texts} onChange={onChange} searchable />;
    }
    if (item.type === "string") {
      return (
        <TagsInput
          {...shared}
          placeholder={Array.isArray(example) ? example.join(", ") : ""}
          splitChars={[",", " ", "\n"]}
          acceptValueOnBlur
          value={texts}
          onChange={onChange}
        />
      );
    }
    return item.properties ? (
      <Several label={label} item={item} definitions={definitions} value={value} onChange={onChange} />
    ) : (
      <Json {...shared} example={example} value={value} onChange={onChange} />
    );
  }
  if (choices || what.enum) {
    return (
      <Select
        {...shared}
        data={choices ?? what.enum?.map(String) ?? []}
        value={value === undefined || value === null ? null : String(value)}
        onChange={(chosen) => onChange(chosen ?? undefined)}
        placeholder={what.default === undefined || what.default === null ? "" : String(what.default)}
        clearable={!isRequired}
        searchable
      />
    );
  }
  switch (what.type) {
    case "boolean":
      return (
        <Switch
          label={label}
          description={what.description}
          checked={Boolean(value ?? what.default)}
          onChange={(event) => onChange(event.currentTarget.checked)}
        />
      );
    case "integer":
    case "number":
      return (
        <NumberInput
          {...shared}
          allowDecimal={what.type === "number"}
          placeholder={
            what.default === undefined || what.default === null ? placeholder : String(what.default)
          }
          value={typeof value === "number" ? value : ""}
          onChange={(given) => onChange(given === "" ? undefined : Number(given))}
        />
      );
    case "object":
      return what.properties ? (
        <Fieldset legend={label}>
          <Fields
            schema={what}
            definitions={definitions}
            values={(value as Values | undefined) ?? {}}
            onChange={(given) => onChange(isRequired || isAnything(given) ? given : undefined)}
            // What may be left out altogether is asked for in full only where something of it is given.
            isOptional={!isRequired && !isAnything(value)}
          />
        </Fieldset>
      ) : (
        <Json {...shared} example={example} value={value} onChange={onChange} />
      );
    default:
  }
  const typed = { ...shared, placeholder, value: text };
  if (what.writeOnly || what.format === "password") {
    return MANY_LINES.test(name) ? (
      <Textarea {...typed} autosize maxRows={6} onChange={(event) => orNothing(event.currentTarget.value)} />
    ) : (
      <PasswordInput
        {...typed}
        autoComplete="off"
        onChange={(event) => orNothing(event.currentTarget.value)}
      />
    );
  }
  if (what.format === "date-time") {
    return <Instant {...shared} value={text} onChange={onChange} />;
  }
  if (MANY_LINES.test(name) || (what.maxLength ?? 0) > LONG) {
    return (
      <Textarea {...typed} autosize maxRows={8} onChange={(event) => orNothing(event.currentTarget.value)} />
    );
  }
  return <TextInput {...typed} onChange={(event) => orNothing(event.currentTarget.value)} />;
}

/** Return whether something was given: of an object, anything in it. */
function isAnything(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.values(value).some(isAnything)
    : value !== undefined && value !== null;
}

interface SeveralProps {
  label: string;
  item: Schema;
  definitions: Definitions;
  value: unknown;
  onChange: (value: unknown) => void;
}

/** Several things of one shape, one below the other. */
function Several({ label, item, definitions, value, onChange }: SeveralProps) {
  const every = Array.isArray(value) ? (value as Values[]) : [];
  return (
    <Fieldset legend={label}>
      <Stack gap="sm">
        {every.map((each, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: they have no name, and their place is theirs
          <Fieldset key={at} legend={`${label} ${at + 1}`}>
            <Fields
              schema={item}
              definitions={definitions}
              values={each}
              onChange={(given) => onChange(every.map((old, place) => (place === at ? given : old)))}
            />
            <Button
              mt="xs"
              size="compact-xs"
              variant="default"
              onClick={() => onChange(every.filter((_, place) => place !== at))}
            >
              Take away
            </Button>
          </Fieldset>
        ))}
        <Button
          size="compact-xs"
          variant="default"
          w="max-content"
          onClick={() => onChange([...every, {}])}
        >{`Add to ${label.toLowerCase()}`}</Button>
      </Stack>
    </Fieldset>
  );
}

interface OwnProps {
  label: string;
  description: string | undefined;
  required: boolean;
  value: unknown;
  onChange: (value: unknown) => void;
}

/** An instant in the zone of whoever looks; it is sent in UTC. */
function Instant({ value, onChange, ...shared }: OwnProps) {
  const at = new Date(String(value));
  const local = Number.isNaN(at.getTime())
    ? ""
    : new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  return (
    <TextInput
      {...shared}
      type="datetime-local"
      value={local}
      onChange={(event) =>
        onChange(event.currentTarget.value ? new Date(event.currentTarget.value).toISOString() : undefined)
      }
    />
  );
}

/** What no plain field can hold, as text; it is handed on as soon as it can be read. */
function Json({ value, onChange, example, ...shared }: OwnProps & { example: unknown }) {
  return (
    <JsonInput
      {...shared}
      autosize
      minRows={2}
      maxRows={10}
      formatOnBlur
      validationError="This is not JSON yet."
      placeholder={example === undefined ? "" : JSON.stringify(example)}
      defaultValue={value === undefined ? "" : JSON.stringify(value, null, 2)}
      onChange={(text) => {
        try {
          onChange(text.trim() === "" ? undefined : JSON.parse(text));
        } catch {
          // It is being written: the field says so itself.
        }
      }}
    />
  );
}
