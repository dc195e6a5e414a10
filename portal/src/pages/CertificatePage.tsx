import { Group, Stack, Tabs } from "@mantine/core";
import { useParams, useSearchParams } from "react-router";
import { data, inventory } from "../api";
import type { components } from "../contracts/inventory";
import { useGroupChoices, useTeamChoices } from "../parts/choices";
import { Detail, Halves } from "../parts/Detail";
import { Form } from "../parts/Form";
import { Standing, State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { count, nameOf } from "../words";
import { About } from "./certificate/About";
import { Chain } from "./certificate/Chain";
import { Findings } from "./certificate/Findings";
import { Happened, Whereabouts } from "./certificate/History";
import { KeyReach } from "./certificate/KeyReach";
import { Lineage } from "./certificate/Lineage";
import { Configured, Places } from "./certificate/Places";
import { Policies } from "./certificate/Policies";
import { Renewing } from "./certificate/Renewing";
import { Revocation } from "./certificate/Revocation";

export type Report = components["schemas"]["CertificateReportView"];

export function CertificatePage() {
  const fingerprint = useParams().fingerprint ?? "";
  return (
    <Detail
      title="Certificate"
      queryKey={["certificate", fingerprint]}
      load={() =>
        data(inventory.GET("/v1/certificates/{fingerprint}", { params: { path: { fingerprint } } }))
      }
    >
      {(known) => <Shown key={fingerprint} known={known} />}
    </Detail>
  );
}

/** A certificate: what it is and where at first, then what is wrong with it and what happened, a section each. */
function Shown({ known }: { known: Report }) {
  const [params, setParams] = useSearchParams();
  const { fingerprint } = known;
  const found = Object.values(known.findings).reduce((sum, number) => sum + number, 0);
  return (
    <Page
      title={nameOf(known)}
      lead={
        <Group gap="xs">
          <Standing of={known} />
          <span>
            ends <When at={known.not_after} />
          </span>
          {known.chain_state && known.chain_state !== "valid" ? (
            <>
              <span>chain</span> <State of={known.chain_state} />
            </>
          ) : null}
          {known.revocation === "revoked" ? <State of={known.revocation} /> : null}
        </Group>
      }
      actions={<Changing known={known} />}
    >
      <Tabs
        value={params.get("section") ?? "overview"}
        onChange={(section) => setParams(section ? { section } : {}, { replace: true })}
        keepMounted={false}
      >
        <Tabs.List mb="md">
          <Tabs.Tab value="overview">Overview</Tabs.Tab>
          <Tabs.Tab value="trust">Trust</Tabs.Tab>
          <Tabs.Tab value="rules">{found ? `Rules (${count(found)})` : "Rules"}</Tabs.Tab>
          <Tabs.Tab value="history">History</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="overview">
          <Halves
            wide={7}
            left={
              <>
                <About known={known} />
                <Places known={known} />
                <Configured fingerprint={fingerprint} />
              </>
            }
            right={
              <>
                <Renewing known={known} />
                <Lineage lineageId={known.lineage_id} shown={fingerprint} />
              </>
            }
          />
        </Tabs.Panel>
        <Tabs.Panel value="trust">
          <Halves
            left={
              <>
                <Chain fingerprint={fingerprint} />
                <KeyReach known={known} />
              </>
            }
            right={<Revocation known={known} />}
          />
        </Tabs.Panel>
        <Tabs.Panel value="rules">
          <Halves left={<Findings fingerprint={fingerprint} />} right={<Policies known={known} />} />
        </Tabs.Panel>
        <Tabs.Panel value="history">
          <Stack>
            <Happened lineageId={known.lineage_id} />
            <Whereabouts fingerprint={fingerprint} />
          </Stack>
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}

function Changing({ known }: { known: Report }) {
  const teams = useTeamChoices();
  const groups = useGroupChoices();
  return (
    <Group gap="xs">
      <Form
        label="Go out in waves"
        variant="default"
        service="provisioner"
        method="put"
        path="/v1/rollout-policies/{lineage_id}"
        ids={{ lineage_id: known.lineage_id }}
        what="From the next renewal on: on canaries first, then a share at a time, and it stops where it fails."
      />
      <Form
        label="Change"
        variant="default"
        service="inventory"
        method="patch"
        path="/v1/certificates/{fingerprint}"
        ids={{ fingerprint: known.fingerprint }}
        what="Whose it is, and what belongs to it; what is left out stays."
        fields={["owner", "add_to_groups", "remove_from_groups", "add_tags", "remove_tags", "set_fields"]}
        choices={{
          owner: teams,
          add_to_groups: groups,
          remove_from_groups: groups.filter((each) => known.groups.includes(each.value)),
        }}
      />
    </Group>
  );
}
