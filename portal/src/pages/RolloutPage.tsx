import { Anchor, Group, Table } from "@mantine/core";
import { Link, useParams } from "react-router";
import { data, provisioner } from "../api";
import type { paths } from "../contracts/provisioner";
import { Act } from "../parts/Act";
import { Card } from "../parts/Card";
import { CertificateName } from "../parts/CertificateName";
import { Detail, Halves } from "../parts/Detail";
import { Facts } from "../parts/Facts";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { Wide } from "../parts/Wide";

/** As long as it is in one of these states, it can be aborted. */
const ALIVE = ["awaiting_approval", "running", "stopped"];

type Rollout = paths["/v1/rollouts/{rollout_id}"]["get"]["responses"][200]["content"]["application/json"];

/** Canaries, a share, the rest: how far a certificate has come, and what has stopped it. */
export function RolloutPage() {
  const id = useParams().id ?? "";
  const path = { rollout_id: id };
  return (
    <Detail
      title="Rollout"
      queryKey={["rollout", id]}
      every={3_000}
      load={() => data(provisioner.GET("/v1/rollouts/{rollout_id}", { params: { path } }))}
    >
      {(known) => <Shown path={path} known={known} />}
    </Detail>
  );
}

function Shown({ path, known }: { path: { rollout_id: string }; known: Rollout }) {
  return (
    <Page title="Rollout" lead={<State of={known.state} />} actions={<Steering of={known} path={path} />}>
      <Halves
        wide={5}
        left={
          <Card title="How it goes out">
            <Facts
              of={{
                Certificate: (
                  <Anchor component={Link} to={`/certificates/${known.fingerprint}`} size="sm">
                    <CertificateName query={`fingerprint = ${known.fingerprint}`} id={known.fingerprint} />
                  </Anchor>
                ),
                Canaries: known.canaries,
                "Then a share of": `${known.share} %`,
                "Waits between": `${known.soak} s`,
                "Stops after failures": known.stop_after,
                Reason: known.reason,
                Begun: <When at={known.created_at} />,
                Over: <When at={known.finished_at} none="not yet" />,
              }}
            />
          </Card>
        }
        right={
          <>
            {known.waves.map((wave) => (
              <Card key={wave.wave} title={wave.wave === 0 ? "Canaries" : `Wave ${wave.wave}`}>
                <Group gap="md">
                  {Object.entries(wave.counts).map(([state, count]) => (
                    <Group key={state} gap={6}>
                      <State of={state} /> {count}
                    </Group>
                  ))}
                </Group>
              </Card>
            ))}
            <Card title="Deployments">
              <Wide label="Deployments, one by one" minWidth={420}>
                <Table>
                  <Table.Thead>
                    <Table.Tr>
                      <Table.Th scope="col">Wave</Table.Th>
                      <Table.Th scope="col">State</Table.Th>
                      <Table.Th scope="col">Waits for</Table.Th>
                      <Table.Th scope="col">Shown</Table.Th>
                    </Table.Tr>
                  </Table.Thead>
                  <Table.Tbody>
                    {known.deployments.map((each) => (
                      <Table.Tr key={each.id}>
                        <Table.Td>{each.wave}</Table.Td>
                        <Table.Td>
                          <State of={each.state} />
                        </Table.Td>
                        <Table.Td>{each.hold_reason ?? each.reason}</Table.Td>
                        <Table.Td>
                          <Anchor component={Link} to={`/deployments/${each.id}`} size="sm">
                            steps
                          </Anchor>
                        </Table.Td>
                      </Table.Tr>
                    ))}
                  </Table.Tbody>
                </Table>
              </Wide>
            </Card>
          </>
        }
      />
    </Page>
  );
}

function Steering({ of, path }: { of: Rollout; path: { rollout_id: string } }) {
  return (
    <>
      {of.state === "stopped" ? (
        <Act
          label="Go on"
          what="The rollout goes on where it stopped; what failed is tried again."
          run={() => data(provisioner.POST("/v1/rollouts/{rollout_id}/resume", { params: { path } }))}
        />
      ) : null}
      {ALIVE.includes(of.state) ? (
        <Act
          label="Abort"
          color="red"
          variant="light"
          what="What has not begun never begins; what is in place stays."
          reason
          run={(reason) =>
            data(provisioner.POST("/v1/rollouts/{rollout_id}/abort", { params: { path }, body: { reason } }))
          }
        />
      ) : null}
    </>
  );
}
