import { useQuery } from "@tanstack/react-query";
import { data, inventory } from "../api";
import { nameOf } from "../words";

interface CertificateNameProps {
  /** What finds it. */
  query: string;
  /** What is shown until it is found, and where it is not: its id. */
  id: string;
}

/** The name of a certificate of which another service knows the id alone. */
export function CertificateName({ query, id }: CertificateNameProps) {
  const asked = useQuery({
    queryKey: ["certificate-name", query],
    queryFn: () => data(inventory.GET("/v1/certificates", { params: { query: { query, limit: 1 } } })),
    staleTime: Number.POSITIVE_INFINITY,
    refetchInterval: false,
  });
  const found = asked.data?.items[0];
  return found ? (
    <span title={id}>{nameOf(found)}</span>
  ) : (
    <span className="mono nowrap">{id.slice(0, 16)}…</span>
  );
}
