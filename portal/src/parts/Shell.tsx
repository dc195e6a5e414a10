import {
  ActionIcon,
  AppShell,
  Burger,
  Button,
  Group,
  NavLink,
  ScrollArea,
  Text,
  useComputedColorScheme,
  useMantineColorScheme,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { type ReactNode, useEffect } from "react";
import { Link, useLocation } from "react-router";
import { useChanges } from "../changes";
import { type Person, signOut } from "../session";
import { Sound } from "./Sound";

const ROOMS: [string, string][] = [
  ["/", "Overview"],
  ["/certificates", "Certificates"],
  ["/issuers", "Issuers"],
  ["/exceptions", "Exceptions"],
  ["/spread", "Spread"],
  ["/discovery", "Discovery"],
  ["/renewal", "Renewal"],
  ["/campaigns", "Campaigns"],
  ["/approvals", "Approvals"],
  ["/provisioning", "Provisioning"],
  ["/alerts", "Alerts"],
  ["/reports", "Reports"],
  ["/audit", "Audit"],
  ["/dead-letters", "Dead letters"],
  ["/settings", "Settings"],
];

function isAt(path: string, room: string): boolean {
  return room === "/" ? path === "/" : path.startsWith(room);
}

/** The frame of every page: rooms to the left, who is signed in above. */
export function Shell({ who, children }: { who: Person; children: ReactNode }) {
  const [opened, { toggle, close }] = useDisclosure(false);
  const { pathname } = useLocation();
  useChanges();
  // biome-ignore lint/correctness/useExhaustiveDependencies: on a narrow screen the menu closes when one has gone somewhere
  useEffect(close, [pathname]);
  return (
    <AppShell
      header={{ height: 56 }}
      navbar={{ width: 200, breakpoint: "sm", collapsed: { mobile: !opened } }}
      padding="lg"
    >
      <a className="skip" href="#main">
        To the content
      </a>
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group wrap="nowrap" gap="sm">
            <Burger
              opened={opened}
              onClick={toggle}
              hiddenFrom="sm"
              size="sm"
              aria-label={opened ? "Close the menu" : "Open the menu"}
            />
            <Link to="/" className="brand">
              <img src="/assets/leaf.svg" alt="" width={24} height={24} />
              Everleaf
            </Link>
          </Group>
          <Group wrap="nowrap" gap="sm">
            <Text size="sm" c="dimmed" visibleFrom="xs">
              {who.name}
            </Text>
            <ColorScheme />
            <Button
              size="xs"
              variant="default"
              onClick={async () => {
                await signOut();
                // A fresh page: nothing of what was seen is left in this one.
                window.location.assign("/");
              }}
            >
              Sign out
            </Button>
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" aria-label="Rooms">
        <ScrollArea>
          {ROOMS.map(([path, label]) => (
            <NavLink
              key={path}
              component={Link}
              to={path}
              label={label}
              active={isAt(pathname, path)}
              aria-current={isAt(pathname, path) ? "page" : undefined}
            />
          ))}
        </ScrollArea>
      </AppShell.Navbar>
      <AppShell.Main id="main" tabIndex={-1}>
        <Sound key={pathname}>{children}</Sound>
      </AppShell.Main>
    </AppShell>
  );
}

function ColorScheme() {
  const { setColorScheme } = useMantineColorScheme();
  const shown = useComputedColorScheme("light");
  const other = shown === "light" ? "dark" : "light";
  return (
    <ActionIcon
      variant="default"
      size="md"
      onClick={() => setColorScheme(other)}
      aria-label={`Switch to ${other} colours`}
    >
      <span aria-hidden="true">{shown === "light" ? "☾" : "☀"}</span>
    </ActionIcon>
  );
}
