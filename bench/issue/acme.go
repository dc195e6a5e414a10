// The baseline of issue.pebble: an ACME client (RFC 8555) on golang.org/x/crypto/acme that keeps nothing.
//
// acme -d DIRECTORY -ca FILE -l HOST:PORT -n COUNT -c PARALLEL [-p PREFIX] orders COUNT certificates by http-01, each with a
// key and a request of its own, and prints as JSON the seconds that took.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/acme"
)

type ended struct {
	Count int     `json:"count"`
	Wall  float64 `json:"wall"`
	CPU   float64 `json:"cpu"`
}

type answers struct {
	client *acme.Client
	texts  sync.Map
}

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, ok := a.texts.Load(r.URL.Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	fmt.Fprint(w, text)
}

func main() {
	directory := flag.String("d", "", "the directory's URL")
	trusted := flag.String("ca", "", "PEM of the CA of the directory's server")
	listen := flag.String("l", "", "where http-01 is answered")
	count := flag.Int("n", 100, "certificates")
	parallel := flag.Int("c", 50, "orders at a time")
	prefix := flag.String("p", "host", "what the names begin with")
	flag.Parse()

	a := &answers{client: client(*directory, *trusted)}
	listener, err := net.Listen("tcp", *listen)
	must(err)
	go http.Serve(listener, a)
	_, err = a.client.Register(context.Background(), &acme.Account{}, acme.AcceptTOS)
	must(err)

	began := time.Now()
	names := make(chan string)
	var working sync.WaitGroup
	for i := 0; i < *parallel; i++ {
		working.Add(1)
		go func() {
			defer working.Done()
			for name := range names {
				must(a.order(name))
			}
		}()
	}
	for i := 0; i < *count; i++ {
		names <- fmt.Sprintf("%s%d.example.test", *prefix, i)
	}
	close(names)
	working.Wait()
	must(json.NewEncoder(os.Stdout).Encode(ended{*count, time.Since(began).Seconds(), used()}))
}

func client(directory, trusted string) *acme.Client {
	pem, err := os.ReadFile(trusted)
	must(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 1000}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	return &acme.Client{Key: key, DirectoryURL: directory, HTTPClient: &http.Client{Transport: transport}}
}

func (a *answers) order(name string) error {
	ctx := context.Background()
	placed, err := a.client.AuthorizeOrder(ctx, acme.DomainIDs(name))
	if err != nil {
		return err
	}
	for _, url := range placed.AuthzURLs {
		if err := a.prove(ctx, url); err != nil {
			return err
		}
	}
	ready, err := a.client.WaitOrder(ctx, placed.URI)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, key)
	if err != nil {
		return err
	}
	_, _, err = a.client.CreateOrderCert(ctx, ready.FinalizeURL, request, true)
	return err
}

func (a *answers) prove(ctx context.Context, url string) error {
	authorization, err := a.client.GetAuthorization(ctx, url)
	if err != nil {
		return err
	}
	for _, challenge := range authorization.Challenges {
		if challenge.Type != "http-01" {
			continue
		}
		text, err := a.client.HTTP01ChallengeResponse(challenge.Token)
		if err != nil {
			return err
		}
		path := a.client.HTTP01ChallengePath(challenge.Token)
		a.texts.Store(path, text)
		defer a.texts.Delete(path)
		if _, err = a.client.Accept(ctx, challenge); err != nil {
			return err
		}
		_, err = a.client.WaitAuthorization(ctx, url)
		return err
	}
	return errors.New("no http-01 was offered")
}

func used() float64 {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
