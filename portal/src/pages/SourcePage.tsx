import { Alert, Group, List, Stack, Text } from "@mantine/core";
import { useParams } from "react-router";
import { data, discovery } from "../api";
import type { components } from "../contracts/discovery";
import { Act } from "../parts/Act";
import { Card } from "../parts/Card";
import { Detail } from "../parts/Detail";
import { Empty } from "../parts/Empty";
import { Facts } from "../parts/Facts";
import { Form } from "../parts/Form";
import { Listing } from "../parts/Listing";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { Who } from "../parts/Who";
import { count, plain } from "../words";

type Source = components["schemas"]["SourceView"];
interface Check {
  name: string;
  ok: boolean;
  text: string;
}

/** A source: what is logged into, whether that works, and what came of each reading. */
export function SourcePage() {
  const path = { source_id: useParams().id ?? "" };
  return (
    <Detail
      title="Source"
      queryKey={["source", path.source_id]}
      load={() => data(discovery.GET("/v1/sources/{source_id}", { params: { path } }))}
    >
      {(known) => <Shown known={known} />}
    </Detail>
  );
}

function Shown({ known }: { known: Source }) {
  return (
    <Page
      title={known.name}
      lead={plain(known.kind)}
      actions={
        <Group gap="xs">
          <TryOut of={known} />
          <ReadNow of={known} />
        </Group>
      }
    >
      <Stack>
        <Card title="What it is">
          <Facts
            of={{
              ...Object.fromEntries(
                Object.entries(known.settings).map(([name, value]) => [plain(name), shown(value)]),
              ),
              "Credential from": known.credential_from && shown(known.credential_from),
              Every: known.every && `${count(known.every)} s`,
              "Read next": <When at={known.next_run_at} none="when asked" />,
              "Made by": <Who id={known.created_by} />,
            }}
          />
        </Card>
        <Runs of={known.id} />
      </Stack>
    </Page>
  );
}

function shown(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function Runs({ of }: { of: string }) {
  return (
    <Listing
      label="Readings"
      queryKey={["source", of, "runs"]}
      every={3_000}
      load={(cursor) =>
        data(
          discovery.GET("/v1/sources/{source_id}/runs", {
            params: { path: { source_id: of }, query: cursor ? { cursor } : {} },
          }),
        )
      }
      rowKey={(each) => each.id}
      columns={[
        { title: "Begun", cell: (each) => <When at={each.created_at} /> },
        { title: "State", cell: (each) => <State of={each.state} /> },
        { title: "Certificates", cell: (each) => count(each.holdings) },
        { title: "Not read", cell: (each) => (each.gaps.length ? count(each.gaps.length) : "") },
        {
          title: "What stands in the way",
          cell: (each) => each.error && `${each.error} ${each.next_step ?? ""}`,
        },
        { title: "Over", cell: (each) => <When at={each.finished_at} none="not yet" /> },
      ]}
      empty={<Empty title="It was never read">Read it now, or say how often it is to be read.</Empty>}
    />
  );
}

function TryOut({ of }: { of: Source }) {
  return (
    <Form
      label="Try it out"
      variant="default"
      service="discovery"
      path="/v1/sources/{source_id}/check"
      ids={{ source_id: of.id }}
      what={`${of.name} is logged into, and it is looked whether all can be read. Nothing is kept.`}
      shown={(tried) => (
        <Alert color={tried.ok ? "teal" : "red"} title={tried.ok ? "It works" : "It does not work yet"}>
          <List size="sm">
            {(tried.checks as Check[]).map((each) => (
              <List.Item key={each.name}>
                <Text span fw={each.ok ? undefined : 700} size="sm">
                  {plain(each.name)}: {each.text}
                </Text>
              </List.Item>
            ))}
          </List>
        </Alert>
      )}
    />
  );
}

export function ReadNow({ of }: { of: Source }) {
  const path = { source_id: of.id };
  return (
    <Act
      label="Read now"
      variant="default"
      what={`${of.name} is logged into and read now. Nothing is changed there.`}
      run={() => data(discovery.POST("/v1/sources/{source_id}/runs", { params: { path } }))}
    />
  );
}
