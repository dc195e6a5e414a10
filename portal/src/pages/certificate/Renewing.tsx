import { Anchor, Group, List, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { data, provisioner, Refusal, renewal } from "../../api";
import { Act } from "../../parts/Act";
import { Card } from "../../parts/Card";
import { Facts } from "../../parts/Facts";
import { Failure } from "../../parts/Failure";
import { State } from "../../parts/Marks";
import { When } from "../../parts/When";
import { many, REASON } from "../../words";
import type { Report } from "../CertificatePage";

/** When and why it is renewed, and what that would do. */
export function Renewing({ known }: { known: Report }) {
  const lineageId = known.lineage_id;
  const schedule = useQuery({
    queryKey: ["schedule", lineageId],
    queryFn: async () => {
      try {
        return await data(
          renewal.GET("/v1/schedules/{lineage_id}", { params: { path: { lineage_id: lineageId } } }),
        );
      } catch (error) {
        if (error instanceof Refusal && error.status === 404) {
          return null;
        }
        throw error;
      }
    },
  });
  return (
    <Card title="Renewal">
      {schedule.error ? <Failure error={schedule.error} /> : null}
      {schedule.data ? (
        <Stack gap="sm">
          <Facts
            of={{
              "Renewed on": <When at={schedule.data.renew_at} none="not known yet" />,
              Because: REASON[schedule.data.reason] ?? schedule.data.reason,
              Ordered: schedule.data.ordered_at && <When at={schedule.data.ordered_at} />,
            }}
          />
          <Group>
            <Act
              label="Renew now"
              what="A new key and a new request are made, and the new certificate is put wherever this one is bound."
              run={() =>
                data(
                  renewal.POST("/v1/schedules/{lineage_id}/renew-now", {
                    params: { path: { lineage_id: lineageId } },
                  }),
                )
              }
            />
          </Group>
        </Stack>
      ) : null}
      {schedule.data === null ? <Adopting fingerprint={known.fingerprint} /> : null}
      <WouldDo lineageId={lineageId} />
      <Bound lineageId={lineageId} />
    </Card>
  );
}

function Adopting({ fingerprint }: { fingerprint: string }) {
  const asked = useQuery({
    queryKey: ["adoption", fingerprint],
    queryFn: () => data(renewal.GET("/v1/adoptions/{fingerprint}", { params: { path: { fingerprint } } })),
    retry: false,
  });
  if (asked.error) {
    return <Failure error={asked.error} />;
  }
  if (!asked.data) {
    return null;
  }
  const fit = asked.data;
  return (
    <Stack gap="sm">
      <Text size="sm">Nobody renews it by itself.</Text>
      {fit.obstacle ? (
        <Text size="sm">
          {fit.obstacle} {fit.next_step}
        </Text>
      ) : (
        <>
          <Facts of={{ Profile: fit.profile, Authority: fit.authority, Key: fit.key_type }} />
          <Group>
            <Act
              label="Have it renewed by itself"
              what={`From now on the profile ${fit.profile} renews it before it ends.`}
              run={() => data(renewal.POST("/v1/adoptions", { body: { fingerprint } }))}
            />
          </Group>
        </>
      )}
    </Stack>
  );
}

function Bound({ lineageId }: { lineageId: string }) {
  const asked = useQuery({
    queryKey: ["deployments", lineageId],
    queryFn: () =>
      data(provisioner.GET("/v1/deployments", { params: { query: { lineage_id: lineageId, limit: 5 } } })),
    retry: false,
  });
  if (!asked.data || asked.data.items.length === 0) {
    return null;
  }
  return (
    <Stack gap={4} mt="md">
      <Text size="sm" fw={600}>
        Last deployments
      </Text>
      {asked.data.items.map((each) => (
        <Group key={each.id} justify="space-between">
          <Anchor component={Link} to={`/deployments/${each.id}`} size="sm">
            <When at={each.created_at} />
          </Anchor>
          <State of={each.state} />
        </Group>
      ))}
    </Stack>
  );
}

/** What renewing would do: where the new one would go, in which order and when. */
function WouldDo({ lineageId }: { lineageId: string }) {
  const asked = useQuery({
    queryKey: ["plan", lineageId],
    queryFn: () =>
      data(provisioner.GET("/v1/plans/{lineage_id}", { params: { path: { lineage_id: lineageId } } })),
    retry: false,
  });
  if (!asked.data) {
    return null;
  }
  return (
    <Stack gap="xs" mt="md">
      <Text size="sm" fw={600}>
        What renewing would do
      </Text>
      {asked.data.slots.length === 0 ? (
        <Text size="sm">Nothing would be put in place: it is bound nowhere.</Text>
      ) : null}
      {asked.data.approvals_needed ? (
        <Text size="sm">{many(asked.data.approvals_needed, "approval")} first.</Text>
      ) : null}
      {asked.data.slots.map((slot) => (
        <div key={slot.binding_id}>
          <Text size="sm">
            {slot.position}. {slot.target}, <span className="mono">{slot.slot}</span>:{" "}
            <When at={slot.begins_at} />
          </Text>
          <List size="sm">
            {slot.steps.map((step) => (
              <List.Item key={`${step.step} ${step.text}`}>{step.text}</List.Item>
            ))}
          </List>
          {[slot.hold_reason, ...slot.obstacles].filter(Boolean).map((each) => (
            <Text key={each} size="sm" c="dimmed">
              {each}
            </Text>
          ))}
        </div>
      ))}
    </Stack>
  );
}
