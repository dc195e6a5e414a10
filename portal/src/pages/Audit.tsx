import { Anchor, Button, Code, Group, Stack, Text, TextInput } from "@mantine/core";
import { Link, useSearchParams } from "react-router";
import { data, notifier } from "../api";
import { Empty } from "../parts/Empty";
import { Listing } from "../parts/Listing";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { WhoBox } from "../parts/WhoBox";
import { many, plain } from "../words";

const ASKED = ["actor_id", "object_kind", "object_id", "trace_id"] as const;
const LABEL = { actor_id: "Who", object_kind: "Kind of thing", object_id: "Its id", trace_id: "Trace" };

/** Every change: who, what, before and after. */
export function Audit() {
  const [params, setParams] = useSearchParams();
  const asked = Object.fromEntries(
    ASKED.flatMap((name) => (params.get(name) ? [[name, params.get(name)]] : [])),
  );
  return (
    <Page
      title="Audit"
      lead="Every change in every service, chained and signed: everleaf audit verify checks an export offline."
    >
      <Stack>
        <form
          // Its boxes say what is asked, also where a link has asked it.
          key={params.toString()}
          onSubmit={(event) => {
            event.preventDefault();
            const said = new FormData(event.currentTarget);
            const next = ASKED.flatMap((name) => {
              const value = String(said.get(name) ?? "").trim();
              return value ? [[name, value]] : [];
            });
            setParams(Object.fromEntries(next));
          }}
        >
          <Group align="flex-end">
            {ASKED.map((name) => {
              const said = params.get(name) ?? "";
              return name === "actor_id" ? (
                <WhoBox key={name} name={name} label={LABEL[name]} initial={said} />
              ) : (
                <TextInput key={name} name={name} label={LABEL[name]} defaultValue={said} />
              );
            })}
            <Button type="submit" variant="default">
              Search
            </Button>
          </Group>
        </form>
        <Listing
          label="The audit trail"
          queryKey={["audit", asked]}
          load={(cursor) =>
            data(
              notifier.GET("/v1/audit", { params: { query: { ...asked, ...(cursor ? { cursor } : {}) } } }),
            )
          }
          rowKey={(each) => String(each.number)}
          columns={[
            { title: "When", cell: (each) => <When at={each.at} /> },
            {
              title: "Who",
              cell: (each) => (
                <Text size="sm">
                  {each.actor_name}
                  {each.on_behalf_of ? ` for ${each.on_behalf_of}` : ""}
                </Text>
              ),
            },
            { title: "Did", cell: (each) => plain(each.action) },
            {
              title: "What",
              width: 170,
              cell: (each) => (
                <Text size="sm">
                  {plain(each.object_kind)}{" "}
                  <Anchor
                    component={Link}
                    to={`?object_id=${encodeURIComponent(each.object_id)}`}
                    title={each.object_id}
                    className={each.object_name ? "" : "mono nowrap"}
                    inherit
                  >
                    {each.object_name ?? brief(each.object_id)}
                  </Anchor>
                </Text>
              ),
            },
            {
              title: "Change",
              cell: (each) => <Changed lines={changed(each.before, each.after)} />,
            },
            { title: "Why", cell: (each) => each.reason ?? each.cause },
            {
              title: "Approval",
              cell: (each) =>
                each.approval_id ? (
                  <Anchor component={Link} to={`/approvals/${each.source}/${each.approval_id}`} size="sm">
                    shown
                  </Anchor>
                ) : null,
            },
            { title: "From", cell: (each) => each.address },
          ]}
          empty={<Empty title="Nothing is recorded">No change of this kind was made.</Empty>}
        />
      </Stack>
    </Page>
  );
}

const BRIEF = 13;

function brief(id: string): string {
  return id.length > BRIEF ? `${id.slice(0, BRIEF)}…` : id;
}

const AT_A_GLANCE = 2;

/** What changed: at once where it is little, and else when it is asked for, so that the trail stays one to be read. */
function Changed({ lines }: { lines: string[] }) {
  const all = (
    <Code block tabIndex={0} mah={240} miw={260} maw={420} className="scrolls folds">
      {lines.join("\n")}
    </Code>
  );
  if (lines.length <= AT_A_GLANCE) {
    return lines.length ? all : null;
  }
  return (
    <details>
      <summary>{many(lines.length, "field")}</summary>
      {all}
    </details>
  );
}

type Facts = Record<string, unknown> | null | undefined;

function changed(before: Facts, after: Facts): string[] {
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  return names.map((name) => {
    const [old, now] = [before?.[name], after?.[name]].map((value) =>
      value === undefined ? "" : JSON.stringify(value),
    );
    return old && now ? `${name}: ${old} → ${now}` : `${name}: ${now || `${old} → gone`}`;
  });
}
