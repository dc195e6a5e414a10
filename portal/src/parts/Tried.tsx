import { Alert, List } from "@mantine/core";
import { plain } from "../words";

export interface Check {
  name: string;
  ok: boolean;
  text: string;
}

/** What came of trying something out. */
export function Tried({ checks }: { checks: Check[] }) {
  const isFine = checks.every((each) => each.ok);
  return (
    <Alert color={isFine ? "teal" : "red"} title={isFine ? "It works" : "It does not work yet"}>
      <List size="sm">
        {checks.map((each) => (
          <List.Item key={each.name} fw={each.ok ? 400 : 700}>
            {plain(each.name)}: {each.text}
          </List.Item>
        ))}
      </List>
    </Alert>
  );
}
