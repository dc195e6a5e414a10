import { Code, SegmentedControl, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { useParams } from "react-router";
import { data, discovery } from "../api";
import { Card } from "../parts/Card";
import { named, useGroupChoices } from "../parts/choices";
import { Detail, Halves } from "../parts/Detail";
import { Facts } from "../parts/Facts";
import { State } from "../parts/Marks";
import { Page } from "../parts/Page";
import { When } from "../parts/When";
import { Who } from "../parts/Who";
import { count } from "../words";
import { type CtLog, percentRead } from "./discovery/CtLogs";
import { NamesUnder } from "./discovery/Names";

/** A Certificate Transparency log: how far it is read, whether it is honest, and which names are known by it. */
export function CtLogPage() {
  const id = useParams().id ?? "";
  return (
    <Detail
      title="Transparency log"
      queryKey={["ct-log", id]}
      every={5_000}
      load={() => data(discovery.GET("/v1/ct-logs/{log_id}", { params: { path: { log_id: id } } }))}
    >
      {(known) => <Shown known={known} />}
    </Detail>
  );
}

const SAYS: Record<string, string> = {
  new: "It was not looked at yet.",
  reading: "There is more to read.",
  current: "All of it is read.",
  away: "It gave no usable answer, and is asked again.",
  wrong: "What it serves cannot be right: nothing of it is taken over.",
  forked: "Its tree contradicts the one that it showed before.",
};

function Shown({ known }: { known: CtLog }) {
  const groups = useGroupChoices();
  const percent = percentRead(known);
  return (
    <Page title={known.origin ?? known.url} lead={<State of={known.state} />}>
      <Stack>
        <Halves
          left={
            <Card title="What is read">
              <Facts
                of={{
                  Address: <span className="mono">{known.url}</span>,
                  "Names under": known.suffixes.join(", "),
                  Signatures: known.public_key
                    ? "verified with its key"
                    : "not verified: its key was not given",
                  Groups: named(known.groups, groups),
                  "Made known": <When at={known.created_at} />,
                  "Made known by": <Who id={known.created_by} />,
                }}
              />
            </Card>
          }
          right={
            <Card title="How far it is">
              <Text size="sm" mb="sm">
                {SAYS[known.state] ?? known.state}
              </Text>
              <Facts
                of={{
                  "Entries read": count(known.entries_read),
                  "Of the log":
                    percent === null
                      ? "not known yet"
                      : `${Math.floor(percent)} % of ${count(known.checkpoint_size)} entries`,
                  Unreadable: known.unreadable ? count(known.unreadable) : null,
                  "Signed by the log": known.signed_at && <When at={known.signed_at} />,
                  "Last read": <When at={known.last_read_at} />,
                  "Read next": <When at={known.next_read_at} />,
                  "What went wrong": known.last_error,
                  "Failures in a row": known.failures ? count(known.failures) : null,
                }}
              />
              {known.evidence ? (
                <>
                  <Text size="sm" mt="sm">
                    The checkpoint that contradicts an earlier one, as it was served:
                  </Text>
                  <Code block className="folds">
                    {known.evidence}
                  </Code>
                </>
              ) : null}
            </Card>
          }
        />
        <Known of={known.suffixes} />
      </Stack>
    </Page>
  );
}

/** The names under one of its suffixes, whichever way they became known. */
function Known({ of }: { of: string[] }) {
  const [chosen, setChosen] = useState("");
  const domain = of.includes(chosen) ? chosen : (of[0] ?? "");
  return (
    <Stack gap="sm">
      {of.length > 1 ? (
        <SegmentedControl
          aria-label="Names under"
          w="max-content"
          maw="100%"
          value={domain}
          onChange={setChosen}
          data={of.slice(0, 8)}
        />
      ) : null}
      <NamesUnder domain={domain} />
    </Stack>
  );
}
