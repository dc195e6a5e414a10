import { Anchor, Grid, Group, Paper, SimpleGrid, Stack, Text, ThemeIcon } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { data, discovery, inventory, notifier, renewal } from "../api";
import { Card } from "../parts/Card";
import { ExpiryTimeline } from "../parts/ExpiryTimeline";
import { Failure } from "../parts/Failure";
import { Grades } from "../parts/Grades";
import { Severity, State, Urgency } from "../parts/Marks";
import { Page } from "../parts/Page";
import { Share } from "../parts/Share";
import { Steps } from "../parts/Steps";
import { When } from "../parts/When";
import { count, many, nameOf } from "../words";

const UNHANDLED = "expires < 90d and not managed";
const unhandledLink = `/certificates?query=${encodeURIComponent(UNHANDLED)}`;

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
  const soon = known?.ending.find((window) => window.days >= 30);
  const byHand = soon?.by_hand ?? 0;
  return (
    <Page title="Overview" lead="Is tonight safe?">
      <Stack>
        <Verdict
          isSafe={byHand === 0 && (known?.stale ?? 0) === 0}
          text={
            byHand > 0
              ? `${many(byHand, "certificate")} end within ${soon?.days} days and nobody renews them.`
              : known?.stale
                ? `${many(known.stale, "place")} still serve what was replaced.`
                : "Everything that ends soon is renewed by itself."
          }
        />
        <SimpleGrid cols={{ base: 2, sm: 4 }}>
          <Figure label="Certificates in use" value={known?.current} to="/certificates?query=current" />
          <Figure label="Renewed by themselves" value={known?.managed} to="/certificates?query=managed" />
          <Figure label="Without an owner" value={known?.unowned} to="/certificates?query=not%20owner" />
          <Figure label="Places" value={known?.places} to="/spread" />
        </SimpleGrid>
        <Grid>
          <Grid.Col span={{ base: 12, md: 7 }}>
            <Unhandled />
          </Grid.Col>
          <Grid.Col span={{ base: 12, md: 5 }}>
            <OpenAlerts />
          </Grid.Col>
          <Grid.Col span={{ base: 12, md: 7 }}>
            <Card title="Expiries and renewals, the next 90 days">
              <ExpiryTimeline />
            </Card>
          </Grid.Col>
          <Grid.Col span={{ base: 12, md: 5 }}>
            <Card title="How good what is served is">
              <Grades of={known?.grades ?? {}} />
            </Card>
          </Grid.Col>
          <Grid.Col span={{ base: 12, md: 4 }}>
            <Card title="Automation">
              <Share
                part={known?.managed ?? 0}
                whole={known?.current ?? 0}
                label="of what is in use is renewed by itself"
              />
            </Card>
          </Grid.Col>
          <Grid.Col span={{ base: 12, md: 4 }}>
            <RunningCampaigns />
          </Grid.Col>
          <Grid.Col span={{ base: 12, md: 4 }}>
            <LastScans />
          </Grid.Col>
        </Grid>
      </Stack>
    </Page>
  );
}

function Verdict({ isSafe, text }: { isSafe: boolean; text: string }) {
  return (
    <Paper withBorder p="md" role="status">
      <Group wrap="nowrap">
        <ThemeIcon color={isSafe ? "teal" : "red"} size="lg" radius="xl" variant="light">
          <span aria-hidden="true">{isSafe ? "✓" : "!"}</span>
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

function Unhandled() {
  const asked = useQuery({
    queryKey: ["unhandled"],
    queryFn: () =>
      data(
        inventory.GET("/v1/certificates", {
          params: { query: { query: UNHANDLED, sort: "expires", limit: 8 } },
        }),
      ),
  });
  return (
    <Card
      title="Ends soon, and nobody renews it"
      aside={
        <Anchor component={Link} to={unhandledLink} size="sm">
          All
        </Anchor>
      }
    >
      {asked.error ? <Failure error={asked.error} /> : null}
      {asked.data?.items.length === 0 ? <Text size="sm">Nothing within 90 days.</Text> : null}
      <Stack gap="xs">
        {asked.data?.items.map((each) => (
          <Group key={each.fingerprint} justify="space-between" wrap="nowrap">
            <Anchor component={Link} to={`/certificates/${each.fingerprint}`} size="sm" truncate>
              {nameOf(each)}
            </Anchor>
            <Group gap="xs" wrap="nowrap">
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
            <Anchor component={Link} to="/campaigns" size="sm" truncate>
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
