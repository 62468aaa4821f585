// SPDX-License-Identifier: Apache-2.0

//go:build windows

// Command probe does on the emulated node what the tests of package wine need to
// see from a Windows program that uses hcsshim.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Microsoft/hcsshim/hcn"
)

func main() {
	if len(os.Args) < 2 {
		return // a program that only starts
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run(verb string, args []string) error {
	switch verb {
	case "echo":
		stdin, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode([]any{args, os.Getenv("PROBE"), string(stdin)})
	case "exit":
		code, err := strconv.Atoi(args[0])
		os.Exit(code)
		return err
	case "list":
		return list(args[0])
	case "threads":
		return threads(args[0])
	case "long":
		return long(args[0])
	case "pod":
		return pod(args[0])
	case "sleep":
		fmt.Println("asleep")
		time.Sleep(time.Hour)
	case "parent":
		cmd := exec.Command(os.Args[0], "sleep")
		cmd.Stdout = os.Stdout
		return cmd.Run()
	}
	return fmt.Errorf("no verb %q", verb)
}

// list enumerates networks so many times and prints the mean duration.
func list(times string) error {
	n, err := strconv.Atoi(times)
	if err != nil {
		return err
	}
	start := time.Now()
	for range n {
		if _, err := hcn.ListNetworks(); err != nil {
			return err
		}
	}
	fmt.Println(time.Since(start) / time.Duration(n))
	return nil
}

// threads makes so many calls at the same time, each of which blocks a thread.
func threads(number string) error {
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = hcn.ListNetworks() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// long sends and reads back a network with a name of so many characters outside
// ASCII, half of them outside the basic plane.
func long(number string) error {
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	name := strings.Repeat("ß𝄞", n/2)
	created, err := (&hcn.HostComputeNetwork{
		Type: hcn.NAT, Name: name, SchemaVersion: hcn.SchemaVersion{Major: 2},
	}).Create()
	if err != nil {
		return err
	}
	found, err := hcn.GetNetworkByID(created.Id)
	if err != nil {
		return err
	}
	if found.Name != name {
		return fmt.Errorf("name comes back in %d bytes instead of %d", len(found.Name), len(name))
	}
	return nil
}

// pod attaches an endpoint of the network "pods" to a namespace of its own,
// looks at it from all sides, and removes both.
func pod(name string) error {
	network, err := podNetwork()
	if err != nil {
		return fmt.Errorf("network: %w", err)
	}
	namespace, err := hcn.NewNamespace(hcn.NamespaceTypeHost).Create()
	if err != nil {
		return fmt.Errorf("namespace: %w", err)
	}
	endpoint, err := network.CreateEndpoint(&hcn.HostComputeEndpoint{
		Name:          name,
		SchemaVersion: hcn.SchemaVersion{Major: 2},
	})
	if err != nil {
		return fmt.Errorf("endpoint: %w", err)
	}
	if err := hcn.AddNamespaceEndpoint(namespace.Id, endpoint.Id); err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	if ids, err := hcn.GetNamespaceEndpointIds(namespace.Id); err != nil || len(ids) != 1 {
		return fmt.Errorf("namespace has endpoints %q: %w", ids, err)
	}
	found, err := hcn.GetEndpointByName(name)
	if err != nil || len(found.IpConfigurations) == 0 {
		return fmt.Errorf("endpoint as found: %+v: %w", found, err)
	}
	fmt.Println(found.IpConfigurations[0].IpAddress)
	return errors.Join(
		hcn.RemoveNamespaceEndpoint(namespace.Id, endpoint.Id),
		endpoint.Delete(),
		namespace.Delete(),
	)
}

func podNetwork() (*hcn.HostComputeNetwork, error) {
	network := &hcn.HostComputeNetwork{
		Type:          hcn.L2Bridge,
		Name:          "pods",
		SchemaVersion: hcn.SchemaVersion{Major: 2},
		Ipams: []hcn.Ipam{{Type: "Static", Subnets: []hcn.Subnet{{
			IpAddressPrefix: "10.10.0.0/24",
			Routes:          []hcn.Route{{NextHop: "10.10.0.1", DestinationPrefix: "0.0.0.0/0"}},
		}}}},
	}
	created, err := network.Create()
	if err == nil {
		return created, nil
	}
	if found, lookup := hcn.GetNetworkByName(network.Name); lookup == nil {
		return found, nil
	}
	return nil, err
}
