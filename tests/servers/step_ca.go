// step-ca, of Debian's Go library packages: they have no program. install.sh builds this one.
//
// It differs from smallstep's own main in one thing: STEP_CA_DNS names the server that validation asks.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/smallstep/certificates/authority/config"
	"github.com/smallstep/certificates/ca"
	_ "github.com/smallstep/certificates/cas/softcas"
	_ "github.com/smallstep/certificates/kms/softkms"
)

func main() {
	if server := os.Getenv("STEP_CA_DNS"); server != "" {
		net.DefaultResolver = askingOnly(server)
	}
	if err := serve(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(file string) error {
	configuration, err := config.LoadConfiguration(file)
	if err != nil {
		return err
	}
	server, err := ca.New(configuration, ca.WithConfigFile(file))
	if err != nil {
		return err
	}
	go ca.StopReloaderHandler(server)
	return server.Run()
}

func askingOnly(server string) *net.Resolver {
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		dialer := net.Dialer{Timeout: 2 * time.Second}
		return dialer.DialContext(ctx, network, server)
	}
	return &net.Resolver{PreferGo: true, Dial: dial}
}
