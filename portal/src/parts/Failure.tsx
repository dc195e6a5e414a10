import { Alert, Button, Group, Text } from "@mantine/core";
import { Refusal } from "../api";

/** What went wrong, and what to do next. */
export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const refused = error instanceof Refusal ? error : null;
  return (
    <Alert color="red" variant="light" title={refused?.title ?? "The platform did not answer"} role="alert">
      <Text size="sm">{refused?.detail ?? "The connection failed."}</Text>
      <Text size="sm" mt={4}>
        {refused?.nextStep ?? "Check that the platform runs, and try again."}
      </Text>
      {refused?.traceId ? (
        <Text size="xs" c="dimmed" mt={4} className="mono">
          trace {refused.traceId}
        </Text>
      ) : null}
      {retry ? (
        <Group mt="sm">
          <Button size="xs" variant="default" onClick={retry}>
            Try again
          </Button>
        </Group>
      ) : null}
    </Alert>
  );
}
