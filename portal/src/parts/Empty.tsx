import { Box, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";

/** Nothing is there: why, and what to do first. */
export function Empty({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Box ta="center" py="xl" px="md">
      <Title order={3} size="h4">
        {title}
      </Title>
      <Text component="div" data-sentence c="dimmed" size="sm" mt="xs" maw={520} mx="auto">
        {children}
      </Text>
    </Box>
  );
}
