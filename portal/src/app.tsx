import { Center, Loader } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Route, Routes } from "react-router";
import { AlertPage } from "./pages/AlertPage";
import { Alerts } from "./pages/Alerts";
import { ApprovalPage } from "./pages/ApprovalPage";
import { Approvals } from "./pages/Approvals";
import { Audit } from "./pages/Audit";
import { AuthorityPage } from "./pages/AuthorityPage";
import { CampaignPage } from "./pages/CampaignPage";
import { Campaigns } from "./pages/Campaigns";
import { CertificatePage } from "./pages/CertificatePage";
import { Certificates } from "./pages/Certificates";
import { CtLogPage } from "./pages/CtLogPage";
import { DeadLetters } from "./pages/DeadLetters";
import { DeploymentPage } from "./pages/DeploymentPage";
import { Discovery } from "./pages/Discovery";
import { Exceptions } from "./pages/Exceptions";
import { FirstSteps } from "./pages/FirstSteps";
import { IssuerPage } from "./pages/IssuerPage";
import { Issuers } from "./pages/Issuers";
import { NotFound } from "./pages/NotFound";
import { OrderPage } from "./pages/OrderPage";
import { Overview } from "./pages/Overview";
import { PersonPage } from "./pages/PersonPage";
import { Provisioning } from "./pages/Provisioning";
import { Renewal } from "./pages/Renewal";
import { Reports } from "./pages/Reports";
import { RolloutPage } from "./pages/RolloutPage";
import { SavedQueries } from "./pages/SavedQueries";
import { ScanPage } from "./pages/ScanPage";
import { Settings } from "./pages/Settings";
import { SignIn } from "./pages/SignIn";
import { SourcePage } from "./pages/SourcePage";
import { Spread } from "./pages/Spread";
import { Shell } from "./parts/Shell";
import { person } from "./session";

export function App() {
  const who = useQuery({ queryKey: ["person"], queryFn: person, refetchInterval: 60_000 });
  if (who.isPending) {
    return (
      <Center mih="100vh">
        <Loader aria-label="Loading" />
      </Center>
    );
  }
  if (!who.data) {
    return <SignIn />;
  }
  return (
    <Shell who={who.data}>
      <Routes>
        <Route path="/" element={<Overview />} />
        <Route path="/first-steps" element={<FirstSteps />} />
        <Route path="/certificates" element={<Certificates />} />
        <Route path="/certificates/:fingerprint" element={<CertificatePage />} />
        <Route path="/saved-queries" element={<SavedQueries />} />
        <Route path="/exceptions" element={<Exceptions />} />
        <Route path="/issuers" element={<Issuers />} />
        <Route path="/issuers/:fingerprint" element={<IssuerPage />} />
        <Route path="/spread" element={<Spread />} />
        <Route path="/discovery" element={<Discovery />} />
        <Route path="/scans/:id" element={<ScanPage />} />
        <Route path="/sources/:id" element={<SourcePage />} />
        <Route path="/ct-logs/:id" element={<CtLogPage />} />
        <Route path="/renewal" element={<Renewal />} />
        <Route path="/orders/:id" element={<OrderPage />} />
        <Route path="/authorities/:id" element={<AuthorityPage />} />
        <Route path="/campaigns" element={<Campaigns />} />
        <Route path="/campaigns/:id" element={<CampaignPage />} />
        <Route path="/approvals" element={<Approvals />} />
        <Route path="/approvals/:service/:id" element={<ApprovalPage />} />
        <Route path="/provisioning" element={<Provisioning />} />
        <Route path="/deployments/:id" element={<DeploymentPage />} />
        <Route path="/alerts" element={<Alerts />} />
        <Route path="/alerts/:id" element={<AlertPage />} />
        <Route path="/rollouts/:id" element={<RolloutPage />} />
        <Route path="/reports" element={<Reports />} />
        <Route path="/audit" element={<Audit />} />
        <Route path="/dead-letters" element={<DeadLetters />} />
        <Route path="/people/:id" element={<PersonPage />} />
        <Route path="/settings" element={<Settings />} />
        <Route path="*" element={<NotFound />} />
      </Routes>
    </Shell>
  );
}
