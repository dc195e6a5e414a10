import { Alert, Button, Text } from "@mantine/core";
import { Component, type ReactNode } from "react";

/** Keeps the frame when a page breaks: after an upgrade, say, a part of it that is fetched later is there no more. */
export class Sound extends Component<{ children: ReactNode }, { isBroken: boolean }> {
  override state = { isBroken: false };

  static getDerivedStateFromError() {
    return { isBroken: true };
  }

  override render() {
    return this.state.isBroken ? (
      <Alert color="red" variant="light" title="This page broke" role="alert">
        <Text size="sm" mb="sm">
          The platform may have been upgraded since the page was loaded: load it again. If it breaks again,
          the browser's console says why.
        </Text>
        <Button size="xs" variant="default" onClick={() => window.location.reload()}>
          Load it again
        </Button>
      </Alert>
    ) : (
      this.props.children
    );
  }
}
