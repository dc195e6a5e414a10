import { Box, Group, Text, Title } from "@mantine/core";
import { type ReactNode, useEffect } from "react";

interface PageProps {
  title: string;
  lead?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}

/** A page: its title is the document's too, so that a screen reader and a tab say where one is. */
export function Page({ title, lead, actions, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · Everleaf`;
  }, [title]);
  return (
    <Box>
      <Group justify="space-between" align="flex-start" mb="lg" wrap="wrap">
        <Box miw={0}>
          <Title order={1} size="h2">
            {title}
          </Title>
          {lead ? (
            <Text component="div" c="dimmed" size="sm" mt={4}>
              {lead}
            </Text>
          ) : null}
        </Box>
        {actions ? <Group gap="xs">{actions}</Group> : null}
      </Group>
      {children}
    </Box>
  );
}
