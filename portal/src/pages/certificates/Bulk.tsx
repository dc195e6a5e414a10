import { Text } from "@mantine/core";
import { data, renewal } from "../../api";
import { Act } from "../../parts/Act";
import { useGroupChoices, useTeamChoices } from "../../parts/choices";
import { Edited } from "../../parts/Edited";
import { Form } from "../../parts/Form";
import { count, many } from "../../words";

interface BulkProps {
  query: string;
  /** How many the query finds. */
  all: number;
  chosen: string[];
  done: () => void;
}

/** What is done to many at once: to those chosen, or to all that the query finds. */
export function Bulk({ query, all, chosen, done }: BulkProps) {
  const choices = {
    owner: useTeamChoices(),
    add_to_groups: useGroupChoices(),
    remove_from_groups: useGroupChoices(),
  };
  const what = chosen.length ? many(chosen.length, "certificate") : `all ${count(all)} that are found`;
  return (
    <>
      <Text size="sm" c="dimmed" role="status">
        {chosen.length ? `${count(chosen.length)} chosen` : ""}
      </Text>
      <Form
        label={chosen.length ? "Change the chosen" : "Change all of these"}
        variant="default"
        disabled={chosen.length === 0 && !query}
        service="inventory"
        path="/v1/certificates/bulk"
        fields={["owner", "add_to_groups", "remove_from_groups", "add_tags", "remove_tags", "set_fields"]}
        along={chosen.length ? { fingerprints: chosen } : { query }}
        choices={choices}
        what={`What is given here is changed of ${what}; what is left out stays.`}
        submit={`Change ${what}`}
        shown={(edit) => <Edited id={String(edit.id)} />}
      />
      <Act
        label="Have the chosen renewed"
        variant="default"
        disabled={chosen.length === 0}
        what={`The profiles that fit renew ${what} before they end.`}
        run={async () => {
          for (const fingerprint of chosen) {
            await data(renewal.POST("/v1/adoptions", { body: { fingerprint } }));
          }
          done();
        }}
      />
    </>
  );
}
