import { Anchor, Group, SegmentedControl, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { Link, useParams } from "react-router";
import { data, inventory } from "../api";
import type { components } from "../contracts/inventory";
import { Card } from "../parts/Card";
import { Detail, Halves } from "../parts/Detail";
import { Empty } from "../parts/Empty";
import { Facts } from "../parts/Facts";
import { Finding } from "../parts/Finding";
import { Listing } from "../parts/Listing";
import { Standing, Urgency } from "../parts/Marks";
import { Page } from "../parts/Page";
import { exactTime, When } from "../parts/When";
import { askedFor, count, issuerOf, keyOf, many, nameOf, quoted } from "../words";

type Issuer = components["schemas"]["IssuerReportView"];

/** An intermediate or a root: what it is, what is wrong with it, and what ends with it. */
export function IssuerPage() {
  const fingerprint = useParams().fingerprint ?? "";
  return (
    <Detail
      title="Issuer"
      queryKey={["issuer", fingerprint]}
      load={() => data(inventory.GET("/v1/issuers/{fingerprint}", { params: { path: { fingerprint } } }))}
    >
      {(known) => <Shown key={fingerprint} known={known} />}
    </Detail>
  );
}

function Shown({ known }: { known: Issuer }) {
  return (
    <Page
      title={known.subject ? issuerOf(known.subject) : known.fingerprint.slice(0, 16)}
      lead={
        <Group gap="xs">
          <Urgency of={known.urgency} />
          <span>
            {known.is_self_issued ? "root" : "intermediate"}, ends <When at={known.not_after} />
          </span>
        </Group>
      }
    >
      <Stack>
        <Halves
          left={<About known={known} />}
          right={
            <>
              <Depending known={known} />
              <Findings known={known} />
            </>
          }
        />
        <Under known={known} />
      </Stack>
    </Page>
  );
}

function About({ known }: { known: Issuer }) {
  return (
    <Card title="What it says">
      <Facts
        of={{
          Subject: known.subject,
          Issuer: known.is_self_issued ? "itself" : known.issuer,
          Serial: known.serial && <span className="mono">{known.serial}</span>,
          Valid: known.not_before && `${exactTime(known.not_before)} to ${exactTime(known.not_after)}`,
          Key: keyOf(known),
          "Key’s hash": known.key_fingerprint && <span className="mono">{known.key_fingerprint}</span>,
          Signature: known.signature_algorithm,
          Fingerprint: <span className="mono">{known.fingerprint}</span>,
          "Known since": <When at={known.first_known_at} />,
        }}
      />
    </Card>
  );
}

function Depending({ known }: { known: Issuer }) {
  const { leaves, valid } = known;
  return (
    <Card title="What depends on it">
      <Stack gap={4}>
        <Text size="sm">
          {many(leaves.known, "certificate")} came with it above {leaves.known === 1 ? "it" : "them"}, of
          which {count(valid)} {valid === 1 ? "has" : "have"} not ended.
        </Text>
        <Text size="sm" {...(leaves.outliving ? { c: "red" } : {})}>
          {leaves.outliving
            ? `${many(leaves.outliving, "certificate")} ${leaves.outliving === 1 ? "ends" : "end"} later than it does: clients refuse ${leaves.outliving === 1 ? "it" : "them"} from the day on which this one ends.`
            : "None ends later than it does."}
        </Text>
        {known.subject ? (
          <Anchor component={Link} to={askedFor(`issuer = ${quoted(known.subject)}`)} size="sm">
            Ask for all it has issued itself
          </Anchor>
        ) : null}
      </Stack>
    </Card>
  );
}

function Findings({ known }: { known: Issuer }) {
  return (
    <Card title="Findings">
      {known.findings.length === 0 ? (
        <Text size="sm">
          {known.linted_at ? "It breaks no rule that was looked at." : "It was not looked at yet."}
        </Text>
      ) : null}
      <Stack gap="sm">
        {known.findings.map((each) => (
          <Finding key={each.rule} {...each} />
        ))}
      </Stack>
    </Card>
  );
}

/** The certificates under it, those that end first at the top. */
function Under({ known }: { known: Issuer }) {
  const [show, setShow] = useState("all");
  const path = { fingerprint: known.fingerprint };
  const outliving = show === "outliving" ? { outliving: true } : {};
  return (
    <Stack gap="sm">
      <Group>
        <SegmentedControl
          aria-label="Which certificates"
          value={show}
          onChange={setShow}
          data={[
            { value: "all", label: "all under it" },
            { value: "outliving", label: "those that outlive it" },
          ]}
        />
      </Group>
      <Listing
        label="Certificates under it"
        queryKey={["issuer", known.fingerprint, "certificates", show]}
        load={(cursor) =>
          data(
            inventory.GET("/v1/issuers/{fingerprint}/certificates", {
              params: { path, query: { ...outliving, ...(cursor ? { cursor } : {}) } },
            }),
          )
        }
        rowKey={(each) => each.fingerprint}
        columns={[
          {
            title: "Certificate",
            cell: (each) => (
              <Anchor component={Link} to={`/certificates/${each.fingerprint}`} size="sm" className="breaks">
                {nameOf(each)}
              </Anchor>
            ),
          },
          { title: "Ends", cell: (each) => <When at={each.not_after} /> },
          { title: "State", cell: (each) => <Standing of={each} /> },
          { title: "Owner", cell: (each) => each.owner?.name ?? "nobody" },
        ]}
        empty={
          <Empty title={show === "all" ? "Nothing is under it" : "None outlives it"}>
            Certificates that are served, or held, with it above them.
          </Empty>
        }
      />
    </Stack>
  );
}
