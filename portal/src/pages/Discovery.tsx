import {
  Anchor,
  Button,
  Code,
  Group,
  NumberInput,
  Progress,
  Select,
  Stack,
  Tabs,
  Text,
  Textarea,
  TextInput,
} from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "react-router";
import { data, discovery } from "../api";
import { Act } from "../parts/Act";
import { Card } from "../parts/Card";
import { Empty } from "../parts/Empty";
import { Failure } from "../parts/Failure";
import { picked } from "../parts/Fields";
import { Form, Remove } from "../parts/Form";
import { Listing } from "../parts/Listing";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { count, plain, shortly } from "../words";
import { CtLogs } from "./discovery/CtLogs";
import { Names } from "./discovery/Names";
import { Steering } from "./ScanPage";
import { ReadNow } from "./SourcePage";

export function Discovery() {
  return (
    <Page
      title="Discovery"
      lead="Every TLS certificate there is: by scans without a login, from sources with one, and by name from public logs."
    >
      <Tabs defaultValue="scans" keepMounted={false}>
        <Tabs.List mb="md">
          <Tabs.Tab value="scans">Scans</Tabs.Tab>
          <Tabs.Tab value="schedules">Schedules</Tabs.Tab>
          <Tabs.Tab value="sources">Sources</Tabs.Tab>
          <Tabs.Tab value="logs">Transparency logs</Tabs.Tab>
          <Tabs.Tab value="names">Names</Tabs.Tab>
          <Tabs.Tab value="missed">Why was it missed?</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="scans">
          <Scans />
        </Tabs.Panel>
        <Tabs.Panel value="schedules">
          <Schedules />
        </Tabs.Panel>
        <Tabs.Panel value="sources">
          <Sources />
        </Tabs.Panel>
        <Tabs.Panel value="logs">
          <CtLogs />
        </Tabs.Panel>
        <Tabs.Panel value="names">
          <Names />
        </Tabs.Panel>
        <Tabs.Panel value="missed">
          <Missed />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}

export function NewScan() {
  const [targets, setTargets] = useState("");
  const [ports, setPorts] = useState("443");
  const [depth, setDepth] = useState<"fast" | "full">("fast");
  const known = useQueryClient();
  const started = useMutation({
    mutationFn: () =>
      data(
        discovery.POST("/v1/scans", {
          body: { targets: targets.split(/[\s,]+/).filter(Boolean), ports, depth } as never,
        }),
      ),
    onSuccess: async () => {
      setTargets("");
      await known.invalidateQueries({ queryKey: ["scans"] });
      await known.invalidateQueries({ queryKey: ["first-run"] });
    },
  });
  return (
    <Card title="Scan a network">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          started.mutate();
        }}
      >
        <Stack gap="sm">
          <Textarea
            label="Targets"
            description="Names, addresses, ranges or networks, one a line."
            placeholder={"www.example.com\n192.0.2.0/24"}
            autosize
            minRows={2}
            required
            value={targets}
            onChange={(event) => setTargets(event.currentTarget.value)}
          />
          <Group align="flex-end">
            <TextInput
              label="Ports"
              value={ports}
              onChange={(event) => setPorts(event.currentTarget.value)}
            />
            <Select
              label="Depth"
              data={[
                { value: "fast", label: "fast: which certificate" },
                { value: "full", label: "full: also protocols, ciphers, flaws" },
              ]}
              allowDeselect={false}
              w={280}
              value={depth}
              onChange={(value) => setDepth(value === "full" ? "full" : "fast")}
            />
            <Button type="submit" loading={started.isPending} disabled={!targets.trim()}>
              Scan
            </Button>
          </Group>
          {started.error ? <Failure error={started.error} /> : null}
        </Stack>
      </form>
    </Card>
  );
}

function Scans() {
  return (
    <Stack>
      <NewScan />
      <Listing
        label="Scans"
        queryKey={["scans"]}
        every={2_000}
        load={(cursor) => data(discovery.GET("/v1/scans", { params: { query: cursor ? { cursor } : {} } }))}
        rowKey={(each) => each.id}
        columns={[
          {
            title: "Targets",
            cell: (each) => (
              <Anchor component={Link} to={`/scans/${each.id}`} size="sm">
                {shortly(each.targets)}
              </Anchor>
            ),
          },
          { title: "Ports", cell: (each) => each.ports },
          {
            title: "Progress",
            width: 160,
            cell: (each) => (
              <Progress value={each.percent} aria-label={`${Math.floor(each.percent)} percent`} />
            ),
          },
          { title: "Asked", cell: (each) => count(each.counts.asked) },
          { title: "Certificates", cell: (each) => count(each.counts.found) },
          { title: "State", cell: (each) => <State of={each.state} /> },
          { title: "", cell: (each) => <Steering of={each} /> },
          { title: "Begun", cell: (each) => <When at={each.created_at} /> },
        ]}
        empty={<Empty title="Nothing was scanned yet">Begin with the names of your own servers.</Empty>}
      />
    </Stack>
  );
}

const SCHEDULE = ["name", "scan", "cron", "every", "timezone", "quiet_hours", "groups"];

function Schedules() {
  return (
    <Listing
      label="Schedules"
      actions={
        <Form
          label="New schedule"
          service="discovery"
          path="/v1/schedules"
          what="A cron expression or a number of seconds says when; quiet hours when not."
          fields={SCHEDULE}
        />
      }
      queryKey={["scan-schedules"]}
      load={(cursor) => data(discovery.GET("/v1/schedules", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        { title: "Name", cell: (each) => each.name },
        { title: "Repeats", cell: (each) => <Code>{each.cron ?? `every ${each.every} s`}</Code> },
        { title: "Next", cell: (each) => <When at={each.next_run_at} none="off" /> },
        { title: "Last", cell: (each) => <When at={each.last_started_at} /> },
        { title: "Last error", cell: (each) => each.last_error },
        {
          title: "",
          cell: (each) => (
            <Group gap="xs" wrap="nowrap">
              <Act
                label="Run now"
                variant="default"
                what={`The scan of ${each.name} is started now; its schedule stays.`}
                run={() =>
                  data(
                    discovery.POST("/v1/schedules/{schedule_id}/run", {
                      params: { path: { schedule_id: each.id } },
                    }),
                  )
                }
              />
              <Form
                label="Change"
                variant="default"
                service="discovery"
                method="put"
                path="/v1/schedules/{schedule_id}"
                ids={{ schedule_id: each.id }}
                fields={[...SCHEDULE, "is_enabled"]}
                initial={picked(each, [...SCHEDULE, "is_enabled", "jitter"])}
              />
              <Remove
                what={`${each.name} is repeated no more; what it has found stays known.`}
                service="discovery"
                path="/v1/schedules/{schedule_id}"
                ids={{ schedule_id: each.id }}
              />
            </Group>
          ),
        },
      ]}
      empty={
        <Empty title="No scan is repeated">
          A schedule repeats a scan every night, say, with quiet hours.
        </Empty>
      }
    />
  );
}

function Sources() {
  return (
    <Listing
      label="Sources"
      actions={
        <Form
          label="New source"
          service="discovery"
          path="/v1/sources"
          fields={["name", "kind", "settings", "credential", "every", "groups"]}
          kinds={{ path: "/v1/source-kinds", parts: { settings: "settings", credential: "credential" } }}
        />
      }
      queryKey={["sources"]}
      load={(cursor) => data(discovery.GET("/v1/sources", { params: { query: cursor ? { cursor } : {} } }))}
      rowKey={(each) => each.id}
      columns={[
        {
          title: "Name",
          cell: (each) => (
            <Anchor component={Link} to={`/sources/${each.id}`} size="sm">
              {each.name}
            </Anchor>
          ),
        },
        { title: "Kind", cell: (each) => plain(each.kind) },
        { title: "Read next", cell: (each) => <When at={each.next_run_at} none="when asked" /> },
        { title: "Changed", cell: (each) => <When at={each.updated_at} /> },
        {
          title: "",
          cell: (each) => (
            <Group gap="xs" wrap="nowrap">
              <ReadNow of={each} />
              <Remove
                what={`${each.name} is read no more, and its credential is forgotten.`}
                service="discovery"
                path="/v1/sources/{source_id}"
                ids={{ source_id: each.id }}
              />
            </Group>
          ),
        },
      ]}
      empty={
        <Empty title="No source is known">
          A source is a host, a device, a cloud or a CA that is logged into: it tells of certificates that no
          scan sees.
        </Empty>
      }
    />
  );
}

function Missed() {
  const [target, setTarget] = useState("");
  const [port, setPort] = useState<number | string>(443);
  const [wanted, setWanted] = useState("");
  const asked = useQuery({
    queryKey: ["explain", wanted],
    queryFn: () => data(discovery.GET("/v1/explain", { params: { query: { target: wanted } } })),
    enabled: wanted !== "",
    refetchInterval: false,
  });
  return (
    <Stack>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const next = `${target.trim()}:${port}`;
          // Asked again, it may have another answer: a scan may have ended meanwhile.
          if (next === wanted) void asked.refetch();
          else setWanted(next);
        }}
      >
        <Group align="flex-end">
          <TextInput
            label="Name or address"
            required
            value={target}
            onChange={(event) => setTarget(event.currentTarget.value)}
          />
          <NumberInput label="Port" w={110} min={1} max={65535} value={port} onChange={setPort} />
          <Button type="submit" disabled={!target.trim()} loading={asked.isFetching}>
            Explain
          </Button>
        </Group>
      </form>
      {asked.error ? <Failure error={asked.error} /> : null}
      {asked.data?.places.map((place) => (
        <Card
          key={`${place.address} ${place.server_name}`}
          title={`${place.address ?? target}:${place.port}`}
        >
          <Group gap="xs">
            <State of={place.verdict} />
            <Text size="sm">{place.text}</Text>
          </Group>
          <Text size="sm" c="dimmed" mt={4}>
            {place.next_step}
          </Text>
        </Card>
      ))}
    </Stack>
  );
}
