import { Anchor, Group, Loader, Paper, SimpleGrid, Stack, Text, ThemeIcon } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense } from "react";
import { Link } from "react-router";
import { data, discovery, inventory, notifier, renewal } from "../api";
import type { components } from "../contracts/inventory";
import { Arranged } from "../parts/Arranged";
import { Card } from "../parts/Card";
import { Failure } from "../parts/Failure";
import { Grades } from "../parts/Grades";
import { Severity, State, Urgency } from "../parts/Marks";
import { Page } from "../parts/Page";
import { Share } from "../parts/Share";
import { TellMe } from "../parts/TellMe";
import { When } from "../parts/When";
import { count, many, nameOf } from "../words";
import { Onward, Steps } from "./FirstSteps";

// Charts are a third of all the code, and wanted here alone.
const ExpiryTimeline = lazy(() =>
  import("../parts/ExpiryTimeline").then((part) => ({ default: part.ExpiryTimeline })),
);
const UNHANDLED = "current and expires < 90d and not managed";
const unhandledLink = `/certificates?query=${encodeURIComponent(UNHANDLED)}`;

type Summary = components["schemas"]["SummaryView"];
const SOON_DAYS = 30;

/** Return how many end soon and are renewed by nobody. */
function byHandSoon(known: Summary): number {
  return known.ending.find((window) => window.days >= SOON_DAYS)?.by_hand ?? 0;
}

/** Return, in a sentence, whether tonight is safe. */
function saying(known: Summary): string {
  if (byHandSoon(known) > 0) {
    return `${many(byHandSoon(known), "certificate")} end within ${SOON_DAYS} days and nobody renews them.`;
  }
  return known.stale
    ? `${many(known.stale, "place")} still serve what was replaced.`
    : `Everything that ends within ${SOON_DAYS} days is renewed by itself.`;
}

export function Overview() {
  const summary = useQuery({
    queryKey: ["summary"],
    queryFn: () => data(inventory.GET("/v1/summary")),
  });
  if (summary.error) {
    return (
      <Page title="Overview">
        <Failure error={summary.error} retry={() => summary.refetch()} />
      </Page>
    );
  }
  const known = summary.data;
  if (known && known.certificates === 0) {
    return (
      <Page title="Welcome" lead="From nothing to the first renewal, in four steps.">
        <Steps />
      </Page>
    );
  }
  return (
    <Page title="Overview" lead="Is tonight safe?" actions={<Onward />}>
      <Stack>
        <Verdict
          isSafe={known ? byHandSoon(known) === 0 && known.stale === 0 : undefined}
          text={known ? saying(known) : "Looking…"}
        />
        <SimpleGrid cols={{ base: 2, sm: 4 }}>
          <Figure label="Certificates in use" value={known?.current} to="/certificates?query=current" />
          <Figure
            label="Renewed by themselves"
            value={known?.managed}
            to={`/certificates?query=${encodeURIComponent("current and managed")}`}
          />
          <Figure
            label="Without an owner"
            value={known?.unowned}
            to={`/certificates?query=${encodeURIComponent("current and not owner")}`}
          />
          <Figure label="Places" value={known?.places} to="/spread" />
        </SimpleGrid>
        <Arranged
          name="overview"
          widgets={[
            {
              id: "unhandled",
              title: "Ends soon, and nobody renews it",
              width: 12,
              show: () => <Unhandled />,
            },
            { id: "alerts", title: "Open alerts", width: 6, show: () => <OpenAlerts /> },
            {
              id: "expiries",
              title: "Expiries and renewals",
              width: 6,
              show: () => (
                <Card title="Expiries and renewals, the next 90 days">
                  <Suspense fallback={<Loader aria-label="Loading" />}>
                    <ExpiryTimeline />
                  </Suspense>
                </Card>
              ),
            },
            {
              id: "grades",
              title: "Grades",
              width: 6,
              show: () => (
                <Card title="How good what is served is">
                  {known ? <Grades of={known.grades} /> : <Loader size="sm" aria-label="Loading" />}
                </Card>
              ),
            },
            {
              id: "automation",
              title: "Automation",
              width: 6,
              show: () => (
                <Card title="Automation">
                  {known ? (
                    <Share
                      part={known.managed}
                      whole={known.current}
                      label="of what is in use is renewed by itself"
                    />
                  ) : (
                    <Loader size="sm" aria-label="Loading" />
                  )}
                </Card>
              ),
            },
            { id: "campaigns", title: "Campaigns", width: 6, show: () => <RunningCampaigns /> },
            { id: "scans", title: "Last scans", width: 6, show: () => <LastScans /> },
          ]}
        />
      </Stack>
    </Page>
  );
}

/** What is not known yet is never called safe. */
function Verdict({ isSafe, text }: { isSafe: boolean | undefined; text: string }) {
  return (
    <Paper withBorder p="md" role="status">
      <Group wrap="nowrap">
        <ThemeIcon
          color={isSafe === undefined ? "gray" : isSafe ? "teal" : "red"}
          size="lg"
          radius="xl"
          variant="light"
        >
          <span aria-hidden="true">{isSafe === undefined ? "?" : isSafe ? "✓" : "!"}</span>
        </ThemeIcon>
        <Text fw={600} size="lg">
          {text}
        </Text>
      </Group>
    </Paper>
  );
}

function Figure({ label, value, to }: { label: string; value: number | undefined; to: string }) {
  return (
    <Paper withBorder p="md" component={Link} to={to} className="quiet-link">
      <Text size="sm" c="dimmed">
        {label}
      </Text>
      <Text fz={28} fw={700} lh={1.2}>
        {value === undefined ? "…" : count(value)}
      </Text>
    </Paper>
  );
}

const URGENCIES = ["expired", "critical", "error", "warning", "renew"];
/** Of so many that end first it is asked how far they reach. */
const LOOKED_AT = 24;

/** Return what is the more urgent, and of what is as urgent what reaches further. */
function byUrgencyAndReach(one: Reaching, other: Reaching): number {
  const rank = ({ urgency }: Reaching) => URGENCIES.indexOf(urgency ?? "") + 1 || URGENCIES.length + 1;
  return rank(one) - rank(other) || (other.place_count ?? 0) - (one.place_count ?? 0);
}

interface Reaching {
  urgency?: string | null;
  place_count?: number | undefined;
}

/** What ends and is not handled, in order of urgency and of how many places it would take down with it. */
function Unhandled() {
  const asked = useQuery({
    queryKey: ["unhandled"],
    queryFn: async () => {
      const page = await data(
        inventory.GET("/v1/certificates", {
          params: { query: { query: UNHANDLED, sort: "expires", limit: LOOKED_AT } },
        }),
      );
      const reports = page.items.map(({ fingerprint }) =>
        data(inventory.GET("/v1/certificates/{fingerprint}", { params: { path: { fingerprint } } })),
      );
      return (await Promise.all(reports)).sort(byUrgencyAndReach);
    },
  });
  return (
    <Card
      title="Ends soon, and nobody renews it"
      aside={
        <Group gap="sm" wrap="nowrap">
          <TellMe query={UNHANDLED} />
          <Anchor component={Link} to={unhandledLink} size="sm">
            All
          </Anchor>
        </Group>
      }
    >
      {asked.error ? <Failure error={asked.error} /> : null}
      {asked.isPending ? <Loader size="sm" aria-label="Loading" /> : null}
      {asked.data?.length === 0 ? <Text size="sm">Nothing within 90 days.</Text> : null}
      <Stack gap="xs">
        {asked.data?.slice(0, 12).map((each) => (
          <Group key={each.fingerprint} justify="space-between" wrap="nowrap">
            <Anchor component={Link} to={`/certificates/${each.fingerprint}`} size="sm" truncate>
              {nameOf(each)}
            </Anchor>
            <Group gap="xs" wrap="nowrap">
              <Text size="sm" c="dimmed" visibleFrom="sm">
                {each.owner?.name ?? "nobody’s"}, {many(each.place_count, "place")}
              </Text>
              <Text size="sm" component="span">
                <When at={each.not_after} />
              </Text>
              <Urgency of={each.urgency} />
            </Group>
          </Group>
        ))}
      </Stack>
    </Card>
  );
}

function OpenAlerts() {
  const asked = useQuery({
    queryKey: ["alerts", "open", "first"],
    queryFn: () => data(notifier.GET("/v1/alerts", { params: { query: { state: "open", limit: 8 } } })),
  });
  return (
    <Card
      title="Open alerts"
      aside={
        <Anchor component={Link} to="/alerts" size="sm">
          All
        </Anchor>
      }
    >
      {asked.error ? <Failure error={asked.error} /> : null}
      {asked.data?.items.length === 0 ? <Text size="sm">None.</Text> : null}
      <Stack gap="xs">
        {asked.data?.items.map((each) => (
          <Group key={each.id} justify="space-between" wrap="nowrap">
            <Anchor component={Link} to={`/alerts/${each.id}`} size="sm" lineClamp={1}>
              {each.summary}
            </Anchor>
            <Severity of={each.severity} />
          </Group>
        ))}
      </Stack>
    </Card>
  );
}

function RunningCampaigns() {
  const asked = useQuery({
    queryKey: ["campaigns", "first"],
    queryFn: () => data(renewal.GET("/v1/campaigns", { params: { query: { limit: 5 } } })),
  });
  return (
    <Card title="Campaigns">
      {asked.error ? <Failure error={asked.error} /> : null}
      {asked.data?.items.length === 0 ? <Text size="sm">None has been planned.</Text> : null}
      <Stack gap="xs">
        {asked.data?.items.map((each) => (
          <Group key={each.id} justify="space-between" wrap="nowrap">
            <Anchor component={Link} to={`/campaigns/${each.id}`} size="sm" truncate>
              {each.name}
            </Anchor>
            <State of={each.state} />
          </Group>
        ))}
      </Stack>
    </Card>
  );
}

function LastScans() {
  const asked = useQuery({
    queryKey: ["scans", "first"],
    queryFn: () => data(discovery.GET("/v1/scans", { params: { query: { limit: 5 } } })),
  });
  return (
    <Card title="Last scans">
      {asked.error ? <Failure error={asked.error} /> : null}
      {asked.data?.items.length === 0 ? <Text size="sm">Nothing was scanned yet.</Text> : null}
      <Stack gap="xs">
        {asked.data?.items.map((each) => (
          <Group key={each.id} justify="space-between" wrap="nowrap">
            <Text size="sm" truncate>
              {each.targets.join(", ")}
            </Text>
            <Group gap="xs" wrap="nowrap">
              <Text size="sm" c="dimmed" component="span">
                <When at={each.finished_at ?? each.created_at} />
              </Text>
              <State of={each.state} />
            </Group>
          </Group>
        ))}
      </Stack>
    </Card>
  );
}
