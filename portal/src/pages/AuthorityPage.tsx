import { Anchor, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "react-router";
import { data, renewal } from "../api";
import type { components } from "../contracts/renewal";
import { Act } from "../parts/Act";
import { Card } from "../parts/Card";
import { named, useOpenGroupChoices } from "../parts/choices";
import { Detail, Halves } from "../parts/Detail";
import { Download } from "../parts/Download";
import { Facts } from "../parts/Facts";
import { Failure } from "../parts/Failure";
import { picked } from "../parts/Fields";
import { Form } from "../parts/Form";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { Who } from "../parts/Who";
import { count, lasting, many, plain } from "../words";

type Authority = components["schemas"]["AuthorityView"];
type Budget = components["schemas"]["BudgetView"];
type Limit = components["schemas"]["LimitView"] | null;

const ONE = "/v1/authorities/{authority_id}";
/** Orders come and go. */
const OFTEN_MS = 5_000;
const BUDGETED = ["orders", "same_names", "failures", "exempts_replacements"];

/** Who issues: what it was told, what may be asked of it, and what of that can be changed. */
export function AuthorityPage() {
  const path = { authority_id: useParams().id ?? "" };
  return (
    <Detail
      title="Authority"
      queryKey={["authority", path.authority_id]}
      load={() => data(renewal.GET("/v1/authorities/{authority_id}", { params: { path } }))}
    >
      {(known) => <Shown known={known} />}
    </Detail>
  );
}

function Shown({ known }: { known: Authority }) {
  const groups = useOpenGroupChoices();
  return (
    <Page
      title={known.name}
      lead={
        <span data-sentence>
          {plain(known.kind)}, one of the{" "}
          <Anchor component={Link} to="/renewal?section=authorities" size="sm">
            authorities
          </Anchor>
        </span>
      }
      actions={<Changes of={known} />}
    >
      <Halves
        left={
          <Card title="What it is">
            <Facts
              of={{
                Trust: known.trust,
                Groups: named(known.groups, groups) || "no group",
                ...Object.fromEntries(
                  Object.entries(known.options).map(([name, value]) => [plain(name), written(value)]),
                ),
                "Made known": <When at={known.created_at} />,
                By: <Who id={known.created_by} />,
              }}
            />
          </Card>
        }
        right={<Asked of={known} />}
      />
    </Page>
  );
}

function written(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** What can be changed: whatever is not said here stays as long as the authority does. */
function Changes({ of }: { of: Authority }) {
  const ids = { authority_id: of.id };
  const params = { path: ids };
  return (
    <>
      <Form
        label="Groups"
        variant="default"
        service="renewal"
        method="put"
        path={`${ONE}/groups`}
        ids={ids}
        initial={{ groups: of.groups }}
        choices={{ groups: useOpenGroupChoices() }}
      />
      {of.kind === "builtin" ? <OfOurOwn of={of} /> : <NewSecrets of={of} />}
      {of.kind === "acme" ? (
        <Act
          label="New account key"
          variant="default"
          what={`${of.name} knows us by a fresh key from now on, and takes the old one no more.`}
          run={() => data(renewal.POST("/v1/authorities/{authority_id}/key-rollover", { params }))}
        />
      ) : null}
      <Download
        label="Roots"
        file={`${of.name}-roots.pem`}
        ask={() => renewal.GET("/v1/authorities/{authority_id}/roots", { params, parseAs: "blob" })}
      />
    </>
  );
}

function NewSecrets({ of }: { of: Authority }) {
  return (
    <Form
      label="New secrets"
      variant="default"
      service="renewal"
      method="put"
      path={`${ONE}/secrets`}
      ids={{ authority_id: of.id }}
      fields={["secrets"]}
      kinds={{ path: "/v1/authority-kinds", parts: { secrets: "secrets" } }}
      kind={of.kind}
      what={`They take the place of all that ${of.name} was given before, none of which is shown.`}
    />
  );
}

/** An authority of our own has no secrets to be given; where another one signs it, that certificate is brought. */
function OfOurOwn({ of }: { of: Authority }) {
  const ids = { authority_id: of.id };
  const params = { path: ids };
  if (!of.options.signed_by_other) return null;
  return (
    <>
      <Download
        label="Request to be signed"
        file={`${of.name}.csr`}
        ask={() => renewal.GET("/v1/authorities/{authority_id}/csr", { params, parseAs: "blob" })}
      />
      <Form
        label="Bring its certificate"
        variant="default"
        service="renewal"
        method="put"
        path={`${ONE}/certificate`}
        ids={ids}
        what={`What another authority has signed for ${of.name}.`}
      />
    </>
  );
}

/** What may be asked of it in a while, and what was. */
function Asked({ of }: { of: Authority }) {
  const params = { path: { authority_id: of.id } };
  const asked = useQuery({
    queryKey: ["authority", of.id, "budget"],
    queryFn: () => data(renewal.GET("/v1/authorities/{authority_id}/budget", { params })),
    refetchInterval: OFTEN_MS,
  });
  const budget = asked.data;
  return (
    <Card title="What may be asked of it" aside={budget ? <ChangeBudget of={of} budget={budget} /> : null}>
      {asked.error ? <Failure error={asked.error} retry={() => asked.refetch()} /> : null}
      {budget ? (
        <Stack gap="xs">
          <Facts
            of={{
              Orders: limited(budget.orders),
              "For the same names": limited(budget.same_names),
              "Failures at one name": limited(budget.failures),
              "Renewals that say what they replace": budget.exempts_replacements ? "not counted" : "counted",
              "Ordered of late": count(budget.orders_spent),
              "Waiting for it": many(budget.waiting, "order"),
            }}
          />
          {budget.is_usual ? (
            <Text size="sm" c="dimmed">
              As it comes: nobody has set it.
            </Text>
          ) : null}
        </Stack>
      ) : null}
    </Card>
  );
}

function limited(limit: Limit): string {
  return limit ? `at most ${count(limit.most)} in ${lasting(limit.window)}` : "no limit";
}

function ChangeBudget({ of, budget }: { of: Authority; budget: Budget }) {
  return (
    <Form
      label="Change"
      variant="default"
      service="renewal"
      method="put"
      path={`${ONE}/budget`}
      ids={{ authority_id: of.id }}
      initial={picked(budget, BUDGETED)}
      what={`Orders wait rather than ask ${of.name} for more than this. What is left out has no limit.`}
    />
  );
}
