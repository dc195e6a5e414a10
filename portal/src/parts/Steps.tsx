import { Anchor, List, Paper, Text } from "@mantine/core";
import { Link } from "react-router";

/** The way from an empty platform to the first renewal. */
export function Steps() {
  return (
    <Paper withBorder p="lg">
      <List type="ordered" spacing="md">
        <List.Item>
          <Text fw={600}>
            <Anchor component={Link} to="/discovery">
              Scan a network
            </Anchor>
          </Text>
          <Text size="sm" c="dimmed">
            No login is needed: names, addresses or networks, and the ports to ask.
          </Text>
        </List.Item>
        <List.Item>
          <Text fw={600}>
            <Anchor component={Link} to="/settings">
              Say who owns what
            </Anchor>
          </Text>
          <Text size="sm" c="dimmed">
            Make a team and a rule; what is found from then on has an owner.
          </Text>
        </List.Item>
        <List.Item>
          <Text fw={600}>
            <Anchor component={Link} to="/alerts">
              Say who is told
            </Anchor>
          </Text>
          <Text size="sm" c="dimmed">
            A channel is mail, a webhook, SNMP or a ticket system; send a test through it.
          </Text>
        </List.Item>
        <List.Item>
          <Text fw={600}>
            <Anchor component={Link} to="/renewal">
              Have it renewed by itself
            </Anchor>
          </Text>
          <Text size="sm" c="dimmed">
            An authority, a profile, and a certificate that was found: adopt it.
          </Text>
        </List.Item>
      </List>
    </Paper>
  );
}
