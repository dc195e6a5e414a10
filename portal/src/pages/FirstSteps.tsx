import { Alert, Anchor, Button, Group, Paper, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Link } from "react-router";
import { data, discovery, inventory, notifier, renewal } from "../api";
import { Act } from "../parts/Act";
import { useChannelChoices } from "../parts/choices";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { nameOf } from "../words";
import { NewScan } from "./Discovery";
import { MakeAuthority } from "./renewal/Authorities";
import { MakeProfile } from "./renewal/Profiles";
import { CatchUp, MakeChannel } from "./settings/Channels";
import { ApplyOwnership, MakeOwnership } from "./settings/Ownership";
import { MakeTeam } from "./settings/Teams";

const ONE = { params: { query: { limit: 1 } } };
const OFTEN_MS = 3_000;

/** How far the way from an empty platform to the first renewal has been gone. */
export function useWay() {
  return useQuery({
    queryKey: ["first-run"],
    refetchInterval: OFTEN_MS,
    queryFn: async () => {
      const [summary, scans, owning, channels, profiles] = await Promise.all([
        data(inventory.GET("/v1/summary")),
        data(discovery.GET("/v1/scans", ONE)),
        data(inventory.GET("/v1/assignment-rules")),
        data(notifier.GET("/v1/channels", ONE)),
        data(renewal.GET("/v1/profiles", ONE)),
      ]);
      return {
        isScanning: scans.items.length > 0,
        isFound: summary.certificates > 0,
        isOwned: summary.certificates > 0 && (owning.items.length > 0 || summary.unowned < summary.current),
        isTold: channels.items.length > 0,
        hasProfile: profiles.items.length > 0,
        isRenewed: summary.managed > 0,
      };
    },
  });
}

/** The way from an empty platform to the first renewal: each step is done here, and is over when it is seen to be. */
export function Steps() {
  const way = useWay().data;
  return (
    <Stack>
      <Step number={1} title="Find what there is" isDone={way?.isFound}>
        <Text size="sm">No login is needed: names, addresses or networks, and the ports to ask.</Text>
        <NewScan />
        {way?.isScanning && !way.isFound ? (
          <Alert color="blue" title="A scan has been started">
            What it finds appears here as it comes; how far it is is under{" "}
            <Anchor component={Link} to="/discovery">
              Discovery
            </Anchor>
            .
          </Alert>
        ) : null}
      </Step>
      <Step number={2} title="Say who owns what" isDone={way?.isOwned}>
        <Text size="sm">
          A team, and a rule: <code>name under example.com</code>, say. What is found from then on has an
          owner; applied now, what was found before has one too.
        </Text>
        <Group gap="xs">
          <MakeTeam />
          <MakeOwnership />
          <ApplyOwnership />
        </Group>
      </Step>
      <Step number={3} title="Say who is told" isDone={way?.isTold}>
        <Text size="sm">
          A channel is mail, a webhook, SNMP, chat or a ticket system. Every channel is told of whatever is a
          warning or worse, until you make other rules; send a test through it under{" "}
          <Anchor component={Link} to="/settings">
            Settings
          </Anchor>
          . It hears of what happens from then on, and of what is{" "}
          <Anchor component={Link} to="/alerts">
            open already
          </Anchor>{" "}
          when you have it told.
        </Text>
        <Group gap="xs">
          <MakeChannel />
          <CatchUpNewest />
        </Group>
      </Step>
      <Step number={4} title="Have one renewed by itself" isDone={way?.isRenewed}>
        <Text size="sm">
          An authority that issues, a profile that says on which terms, and a certificate that was found.
        </Text>
        <Group gap="xs">
          <MakeAuthority />
          <MakeProfile />
        </Group>
        {way?.hasProfile && way.isFound ? <Adoptable /> : null}
      </Step>
    </Stack>
  );
}

function CatchUpNewest() {
  const newest = useChannelChoices()[0];
  return newest ? <CatchUp id={newest.value} name={newest.label} /> : null;
}

interface StepProps {
  number: number;
  title: string;
  isDone: boolean | undefined;
  children: ReactNode;
}

function Step({ number, title, isDone, children }: StepProps) {
  return (
    <Paper withBorder p="lg" component="section" aria-label={title}>
      <Stack gap="sm">
        <Group gap="sm">
          <Title order={2} size="h4">
            {number}. {title}
          </Title>
          {isDone ? <State of="done" /> : null}
        </Group>
        {children}
      </Stack>
    </Paper>
  );
}

/** The certificates that end first and nobody renews, each with a button to have it renewed. */
function Adoptable() {
  const asked = useQuery({
    queryKey: ["certificates", "adoptable"],
    queryFn: () =>
      data(
        inventory.GET("/v1/certificates", {
          params: { query: { query: "current and not managed", sort: "expires", limit: 5 } },
        }),
      ),
  });
  return (
    <Stack gap={4}>
      {asked.data?.items.map((each) => (
        <Group key={each.fingerprint} justify="space-between">
          <Anchor component={Link} to={`/certificates/${each.fingerprint}`} size="sm">
            {nameOf(each)}
          </Anchor>
          <Act
            label="Have it renewed by itself"
            variant="default"
            what={`The profile that fits renews ${nameOf(each)} before it ends.`}
            run={() => data(renewal.POST("/v1/adoptions", { body: { fingerprint: each.fingerprint } }))}
          />
        </Group>
      ))}
    </Stack>
  );
}

/** On the overview, as long as the way is not gone to its end. */
export function Onward() {
  const way = useWay().data;
  if (!way || (way.isFound && way.isOwned && way.isTold && way.isRenewed)) {
    return null;
  }
  return (
    <Button size="xs" component={Link} to="/first-steps" variant="default">
      First steps
    </Button>
  );
}

export function FirstSteps() {
  return (
    <Page title="First steps" lead="From nothing to the first renewal, in four steps.">
      <Steps />
    </Page>
  );
}
