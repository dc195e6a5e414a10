import { Anchor, Group, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { data, inventory } from "../../api";
import type { components } from "../../contracts/inventory";
import { AskException } from "../../parts/AskException";
import { Card } from "../../parts/Card";
import { type Choice, named, useGroupChoices } from "../../parts/choices";
import { Failure } from "../../parts/Failure";
import { Finding } from "../../parts/Finding";
import { State } from "../../parts/Marks";
import { Wide } from "../../parts/Wide";
import { many, placeOf, shortly } from "../../words";
import type { Report } from "../CertificatePage";

type Assessment = components["schemas"]["AssessmentView"];
type Rule = components["schemas"]["RuleView"];
type Exception = components["schemas"]["ExceptionView"];

/** A rule of a policy that is broken the same way at some places. */
interface Broken {
  key: string;
  policy: string;
  policyTitle: string;
  rule: Rule;
  places: Choice[];
}

const MOST_PLACES = 200;
const MOST_LETTERS = 10;

/** How good the places are that serve it: their letters, and which policies they break. */
export function Policies({ known }: { known: Report }) {
  const { fingerprint } = known;
  const asked = useQuery({
    queryKey: ["certificate", "assessments", fingerprint],
    queryFn: () =>
      data(inventory.GET("/v1/assessments", { params: { query: { fingerprint, limit: MOST_PLACES } } })),
  });
  const places = asked.data?.items ?? [];
  const broken = brokenAt(places);
  const policies = [...new Set(broken.map((each) => each.policy))];
  const wishes = useQuery({
    queryKey: ["exceptions", "requested", ...policies],
    enabled: policies.length > 0,
    queryFn: () => requested(policies),
  });
  return (
    <Card title="Policies">
      {asked.error ? <Failure error={asked.error} /> : null}
      <Stack gap="md">
        {asked.data ? <Letters of={places} /> : null}
        {places.length > 0 && broken.length === 0 ? (
          <Text size="sm">No place that serves it breaks a policy that is switched on.</Text>
        ) : null}
        {broken.map((each) => (
          <Finding
            key={each.key}
            severity={each.rule.severity}
            rule={`${each.policyTitle}: ${each.rule.title}`}
            evidence={`${shortly(each.places.map((place) => place.label))}: ${each.rule.evidence}`}
            remedy={each.rule.remedy}
          >
            <Pass of={each} known={known} wishes={wishes.data ?? []} />
          </Finding>
        ))}
      </Stack>
    </Card>
  );
}

/** Return what is broken: once for each rule and what shows it, with all the places. */
function brokenAt(assessments: Assessment[]): Broken[] {
  const found = new Map<string, Broken>();
  for (const { place, verdicts } of assessments) {
    for (const { policy, title, rules } of verdicts) {
      for (const rule of rules.filter((each) => each.result === "fail")) {
        const key = [policy, rule.rule, rule.exception_id, rule.evidence].join(" ");
        const broken = found.get(key) ?? { key, policy, policyTitle: title, rule, places: [] };
        broken.places.push({ value: place.id, label: placeOf(place) });
        found.set(key, broken);
      }
    }
  }
  return [...found.values()];
}

/** Return the exceptions from these policies that are asked for and not decided. */
async function requested(policies: string[]): Promise<Exception[]> {
  const asked = policies.map((policy) =>
    data(inventory.GET("/v1/exceptions", { params: { query: { policy, state: "requested", limit: 1000 } } })),
  );
  return (await Promise.all(asked)).flatMap((page) => page.items);
}

function Letters({ of }: { of: Assessment[] }) {
  if (of.length === 0) {
    return (
      <Text size="sm">No place that serves it is judged yet: scan it, at depth full for a letter too.</Text>
    );
  }
  return (
    <Wide label="Letters of its places" minWidth={280}>
      <Stack gap={4}>
        {of.slice(0, MOST_LETTERS).map((each) => (
          <Group key={each.place.id} gap="sm" wrap="nowrap">
            <Text size="sm" fw={700} w={24}>
              {each.grade ?? "–"}
            </Text>
            <Text size="sm">{placeOf(each.place)}</Text>
            <Text size="sm" c="dimmed">
              {each.grade
                ? each.reasons.map((reason) => reason.evidence).join("; ")
                : "not scanned at depth full"}
            </Text>
          </Group>
        ))}
        {of.length > MOST_LETTERS ? (
          <Text size="sm">and {many(of.length - MOST_LETTERS, "place")} more</Text>
        ) : null}
      </Stack>
    </Wide>
  );
}

/** What lets a broken rule pass, or could. */
function Pass({ of, known, wishes }: { of: Broken; known: Report; wishes: Exception[] }) {
  const groups = useGroupChoices();
  const mine = known.groups.map((id) => ({ value: id, label: named([id], groups) }));
  if (of.rule.exception_id) {
    return <ToExceptions state="let pass" text="An exception lets it pass." />;
  }
  const scopes = [known.fingerprint, ...known.groups, ...of.places.map((place) => place.value)];
  const asked = wishes.filter((each) => each.policy_id === of.policy && each.rule_id === of.rule.rule);
  const isForIt = asked.some(({ scope }) => scopes.includes(scope.value));
  return (
    <>
      {/* What a query finds is not known here: it may be for this one. */}
      {isForIt || asked.some(({ scope }) => scope.kind === "query") ? (
        <ToExceptions state="requested" text="An exception is asked for, and waits for a word." />
      ) : null}
      {isForIt ? null : (
        <Group mt={4}>
          <AskException
            of={{
              policy: of.policy,
              rule: of.rule.rule,
              title: of.rule.title,
              fingerprint: known.fingerprint,
              places: of.places,
              groups: mine,
            }}
          />
        </Group>
      )}
    </>
  );
}

function ToExceptions({ state, text }: { state: string; text: string }) {
  return (
    <Group gap="xs" mt={4}>
      <State of={state} />
      <Anchor component={Link} to="/exceptions" size="sm">
        {text}
      </Anchor>
    </Group>
  );
}
