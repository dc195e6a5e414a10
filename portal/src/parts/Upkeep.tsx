import { Group } from "@mantine/core";
import type { ReactNode } from "react";
import { picked } from "./Fields";
import { type Asking, Form, Remove } from "./Form";

interface UpkeepProps extends Omit<Asking, "initial" | "version" | "what"> {
  /** The row as it is shown: a form begins with it, and changes that one only. */
  of: object;
  fields: string[];
  ids: Record<string, string>;
  /** What it means that it is there no more. */
  gone: string;
  /** What else can be done with it: it comes first. */
  children?: ReactNode;
}

/** What is done with a row that people have made: it is changed, and taken away. */
export function Upkeep({ of, gone, children, ...asking }: UpkeepProps) {
  const { service, path, ids, fields } = asking;
  return (
    <Group gap="xs" wrap="nowrap">
      {children}
      <Form
        label="Change"
        title={"name" in of ? `Change ${of.name}` : "Change"}
        variant="default"
        method="patch"
        {...asking}
        initial={picked(of, fields)}
        {...("version" in of ? { version: Number(of.version) } : {})}
      />
      <Remove what={gone} service={service} path={path} ids={ids} />
    </Group>
  );
}
