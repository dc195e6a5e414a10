import { Anchor, Button, Center, Divider, Paper, PasswordInput, Stack, Text, Title } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useLocation } from "react-router";
import { Failure } from "../parts/Failure";
import { SignInRefused, signIn } from "../session";

/** Signing in: by the organisation's accounts, or with an API key or the first token. */
export function SignIn() {
  const [credential, setCredential] = useState("");
  const { pathname, search } = useLocation();
  const known = useQueryClient();
  const done = useMutation({
    mutationFn: () => signIn(credential),
    onSuccess: () => known.resetQueries(),
    onSettled: () => setCredential(""),
  });
  useEffect(() => {
    document.title = "Sign in · Everleaf";
  }, []);
  return (
    <Center mih="100vh" p="md" component="main">
      <Paper withBorder p="xl" w="100%" maw={420}>
        <Stack>
          <Title order={1} size="h3">
            <img src="/assets/leaf.svg" alt="" width={28} height={28} /> Everleaf
          </Title>
          <Button
            component="a"
            href={`/inventory/v1/login?return_to=${encodeURIComponent(pathname + search)}`}
            variant="filled"
          >
            Sign in with your organisation's account
          </Button>
          <Divider label="or" />
          <form
            onSubmit={(event) => {
              event.preventDefault();
              done.mutate();
            }}
          >
            <Stack>
              <PasswordInput
                label="API key or token"
                description="On the first start: what is in admin.token in the data folder."
                autoComplete="off"
                required
                value={credential}
                onChange={(event) => setCredential(event.currentTarget.value)}
              />
              {done.error instanceof SignInRefused ? (
                <Text c="red" size="sm" role="alert">
                  {done.error.message}
                </Text>
              ) : done.error ? (
                <Failure error={done.error} />
              ) : null}
              <Button type="submit" variant="default" loading={done.isPending} disabled={!credential.trim()}>
                Sign in
              </Button>
            </Stack>
          </form>
          <Text size="xs" c="dimmed">
            The APIs: <Anchor href="/inventory/docs">inventory</Anchor>,{" "}
            <Anchor href="/discovery/docs">discovery</Anchor>, <Anchor href="/renewal/docs">renewal</Anchor>,{" "}
            <Anchor href="/provisioner/docs">provisioner</Anchor>,{" "}
            <Anchor href="/notifier/docs">notifier</Anchor>.
          </Text>
        </Stack>
      </Paper>
    </Center>
  );
}
