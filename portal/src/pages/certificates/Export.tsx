import { Button, Menu } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { download, type Wanted } from "../../downloads";
import { Failure } from "../../parts/Failure";
import { many } from "../../words";

const EXPORT = "/v1/certificates/export";

/** What can be had, for a query; an empty one is for all there is. */
function files(query: string): (Wanted & { label: string })[] {
  const asked: Record<string, string> = query ? { query } : {};
  const kinds = { csv: "CSV, for a spreadsheet", json: "JSON", ndjson: "NDJSON, a line for each" };
  return [
    ...Object.entries(kinds).map(([format, label]) => ({
      label,
      service: "inventory" as const,
      path: EXPORT,
      query: { ...asked, format, sort: "expires" },
      name: `certificates.${format}`,
    })),
    {
      label: "CBOM: CycloneDX, with keys and algorithms",
      service: "inventory",
      path: "/v1/cbom",
      query: asked,
      name: "certificates.cdx.json",
    },
  ];
}

/** All that a query finds, as a file. */
export function Export({ query, all }: { query: string; all: number }) {
  const made = useMutation({ mutationFn: download });
  return (
    <>
      <Menu position="bottom-end" withInitialFocusPlaceholder={false}>
        <Menu.Target>
          <Button variant="default" size="xs" loading={made.isPending}>
            Export
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Label>{many(all, "certificate")}, all columns, as</Menu.Label>
          {files(query).map(({ label, ...wanted }) => (
            <Menu.Item key={label} onClick={() => made.mutate(wanted)}>
              {label}
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
      {made.error ? <Failure error={made.error} /> : null}
    </>
  );
}
