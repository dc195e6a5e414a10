import { Button, type ButtonProps, Modal, Stack, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { contract, type Method, type Service, send } from "../api";
import { Act } from "./Act";
import { Failure } from "./Failure";
import { Fields, type Schema, type Values } from "./Fields";

/** Kinds that a service lists, with the schemas of what each takes. */
export interface Kinds {
  path: string;
  /** By the name of the field: in which schema of a kind it is. */
  parts: Record<string, string>;
}

interface Kind {
  kind: string;
  summary: string;
  [part: string]: unknown;
}

export interface Asking {
  service: Service;
  method?: Method;
  /** As the contract writes it. */
  path: string;
  /** What stands for the braces of the path. */
  ids?: Record<string, string>;
  /** Those to be asked for, in this order; left out, all. */
  fields?: string[];
  kinds?: Kinds;
  /** The kind, where it is decided elsewhere and not sent along. */
  kind?: string;
  /** What the fields hold at first. */
  initial?: Values;
  /** Of which version that is: a change of another one is refused. */
  version?: number;
  /** What is sent along and not asked for. */
  along?: Values;
  choices?: Record<string, { value: string; label: string }[]>;
  /** What is shown once it is done; without it the form closes. */
  shown?: (answer: Values) => ReactNode;
  what?: ReactNode;
  submit?: string;
  onDone?: (answer: Values) => void;
}

interface FormProps extends ButtonProps, Asking {
  label: string;
  /** What stands over the form, where that is more than what is on the button. */
  title?: string;
}

/** A button that opens a form for what an operation of a contract takes. */
export function Form({
  label,
  title = label,
  service,
  method,
  path,
  ids,
  fields,
  kinds,
  kind,
  initial,
  version,
  along,
  choices,
  shown,
  what,
  submit,
  onDone,
  ...button
}: FormProps) {
  const [opened, { open, close }] = useDisclosure(false);
  const contracted = { service, method, path, ids, fields, kinds, kind };
  const asking = { ...contracted, initial, version, along, choices, shown, what };
  return (
    <>
      <Button size="xs" {...button} onClick={open}>
        {label}
      </Button>
      <Modal
        opened={opened}
        onClose={close}
        title={title}
        size="lg"
        closeButtonProps={{ "aria-label": "Close" }}
      >
        <Asked
          {...(asking as Asking)}
          submit={submit ?? label}
          onDone={(answer) => {
            if (!shown) close();
            onDone?.(answer);
          }}
        />
      </Modal>
    </>
  );
}

/** The form itself, in its place. */
export function Asked({
  service,
  method = "post",
  path,
  ids = {},
  fields,
  kinds,
  kind: decided,
  initial = {},
  version,
  along = {},
  choices,
  shown,
  what,
  submit = "Save",
  onDone,
}: Asking) {
  const [values, setValues] = useState<Values>(initial);
  // What is shown while the form is open may be of a later version than what it began with.
  const [begun] = useState(version);
  const known = useQueryClient();
  const document = useQuery({ queryKey: ["contract", service], queryFn: () => contract(service), ...ONCE });
  const listed = useQuery({
    queryKey: ["kinds", service, kinds?.path],
    queryFn: () => send(service, "get", kinds?.path ?? "", {}),
    enabled: kinds !== undefined,
    ...ONCE,
  });
  const done = useMutation({
    mutationFn: () => send(service, method, path, { ids, body: { ...values, ...along }, version: begun }),
    onSuccess: async (answer) => {
      onDone?.(answer);
      await known.invalidateQueries();
    },
  });
  const body = document.data?.paths[path]?.[method]?.requestBody?.content["application/json"]?.schema;
  if (document.error ?? listed.error) {
    return <Failure error={document.error ?? listed.error} />;
  }
  if (done.data && shown) {
    return shown(done.data);
  }
  const every = (listed.data?.items as Kind[] | undefined) ?? [];
  const kind = every.find((each) => each.kind === (decided ?? values.kind));
  const replaced = Object.fromEntries(
    Object.entries(kinds?.parts ?? {}).map(([field, part]) => [field, (kind?.[part] ?? {}) as Schema]),
  );
  const isEmpty = (part: string) => Object.keys(replaced[part]?.properties ?? {}).length === 0;
  const asked = fields?.filter((name) => !(name in replaced) || (kind && !isEmpty(name)));
  const forgotten = Object.fromEntries(Object.keys(replaced).map((part) => [part, undefined]));
  const ofKinds = kinds
    ? { kind: every.map((each) => ({ value: each.kind, label: `${each.kind}: ${each.summary}` })) }
    : {};
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        event.stopPropagation();
        done.mutate();
      }}
    >
      <Stack>
        {what ? <Text size="sm">{what}</Text> : null}
        {body ? (
          <Fields
            // Another kind has other fields: nothing of the one before is shown in them.
            key={kind?.kind ?? ""}
            schema={body}
            definitions={document.data?.components.schemas ?? {}}
            values={values}
            onChange={(next) => setValues(next.kind === values.kind ? next : { ...next, ...forgotten })}
            {...(asked ? { only: asked } : {})}
            replaced={replaced}
            choices={{ ...ofKinds, ...choices }}
          />
        ) : null}
        {done.error ? <Failure error={done.error} /> : null}
        <Button type="submit" loading={done.isPending}>
          {submit}
        </Button>
      </Stack>
    </form>
  );
}

/** A button that takes something away, after it was said what that means. */
export function Remove({
  label = "Remove",
  what,
  service,
  path,
  ids,
}: {
  label?: string;
  what: string;
  service: Service;
  path: string;
  ids: Record<string, string>;
}) {
  return (
    <Act
      label={label}
      color="red"
      variant="light"
      what={what}
      run={() => send(service, "delete", path, { ids })}
    />
  );
}

const ONCE = { staleTime: Number.POSITIVE_INFINITY, refetchInterval: false as const };
