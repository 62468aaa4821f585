// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/doctor"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/kubeproxy"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
)

// conflists are the files that come with Bulkhead, and guide is the document about
// kube-proxy beside them.
const (
	conflists = "../../plugins/bulkhead/conf"
	guide     = "../../plugins/bulkhead/KUBE-PROXY.md"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// served is a node with the network of a conflist, and one kube-proxy.
func served(t *testing.T, file, text string, p kubeproxy.Process) node.Inventory {
	t.Helper()
	plugins, err := config.Plugins([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse(plugins[0].Stdin(), config.Env{})
	if err != nil {
		t.Fatal(err)
	}
	n := hns.Network{ID: "n1", Name: c.Name, Driver: c.Driver, ManagementAddress: netip.MustParseAddr("192.168.1.5")}
	if n.Driver == hns.Overlay {
		n.ProviderAddress = n.ManagementAddress
	}
	if c.Network != nil {
		n.Subnets = c.Network.Subnets
	} else {
		for _, set := range c.IPAM.RangeSets {
			for _, r := range set.Ranges {
				n.Subnets = append(n.Subnets, hns.Subnet{Prefix: r.Subnet, Gateway: r.Subnet.Masked().Addr().Next()})
			}
		}
	}
	return node.Inventory{
		Version: hns.Version{Major: 13, Minor: 3}, Networks: []hns.Network{n}, KubeProxies: []kubeproxy.Process{p},
		Conflists: []node.Conflist{{Path: file, Encoding: config.UTF8, List: true, Plugins: []config.Config{c}}},
	}
}

// aboutProxies returns what doctor finds wrong with kube-proxy.
func aboutProxies(i node.Inventory) []doctor.Finding {
	var out []doctor.Finding
	for _, f := range doctor.Judge(i) {
		if strings.HasPrefix(f.ID, "kubeproxy.") {
			out = append(out, f)
		}
	}
	return out
}

// started is a kube-proxy with arguments, of which --config names a file that says text.
func started(args, text string) kubeproxy.Process {
	return kubeproxy.Parse(append([]string{"kube-proxy.exe"}, strings.Fields(args)...), nil, func(string) ([]byte, error) {
		return []byte(text), nil
	})
}

// The guide's arguments for each conflist are those that doctor names, and with them it
// finds nothing. Every conflist for a network with VFP has its row, or its neighbour's.
func TestGuideToKubeProxysArguments(t *testing.T) {
	told := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (\\[.*) \\| `(--network-name=.*)` \\|$").FindAllStringSubmatch(read(t, guide), -1) {
		for _, link := range regexp.MustCompile(`\((conf/[^)]+)\)`).FindAllStringSubmatch(row[1], -1) {
			file := filepath.Join(filepath.Dir(guide), link[1])
			told[filepath.Base(file)] = true
			found := aboutProxies(served(t, file, read(t, file), started("", "")))
			if len(found) != 1 || !strings.HasPrefix(found[0].Cure, "start kube-proxy with "+row[2]+" (") {
				t.Errorf("%s: the guide says %s, doctor %+v", link[1], row[2], found)
			}
			if found := aboutProxies(served(t, file, read(t, file), started(row[2], ""))); len(found) > 0 {
				t.Errorf("%s with %s: %+v", link[1], row[2], found)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(conflists, "*.conflist"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no conflists (%v)", err)
	}
	for _, file := range files {
		name := strings.Replace(filepath.Base(file), "-hyperv", "", 1)
		if found := aboutProxies(served(t, file, read(t, file), started("", ""))); len(found) > 0 != told[name] {
			t.Errorf("%s: doctor says %+v, and the guide has a row: %t", file, found, told[name])
		}
	}
}

// The guide's file of kube-proxy fits the overlay's conflist, and its own conflist keeps
// the source VIP from pods.
func TestGuideToKubeProxysFile(t *testing.T) {
	text := read(t, guide)
	block := func(language string) string {
		m := regexp.MustCompile("(?s)\n```"+language+"\n(.*?)\n```\n").FindAllStringSubmatch(text, -1)
		if len(m) != 1 {
			t.Fatalf("%d blocks of %s", len(m), language)
		}
		return m[0][1]
	}
	proxy := started("--config=kube-proxy.yaml", block("yaml"))
	overlay := filepath.Join(conflists, "overlay.conflist")
	own := block("json")
	for name, conf := range map[string]string{overlay: read(t, overlay), guide: own} {
		if found := aboutProxies(served(t, name, conf, proxy)); len(found) > 0 {
			t.Errorf("%s: %+v", name, found)
		}
	}
	unguarded := strings.Replace(own, `, "exclude": ["`+proxy.SourceVIP+`"]`, "", 1)
	if found := aboutProxies(served(t, guide, unguarded, proxy)); len(found) != 1 || found[0].ID != "kubeproxy.sourceVIP" {
		t.Errorf("without the exclusion: %+v", found)
	}
}

// The guide has every finding about kube-proxy, with its severity.
func TestGuideToKubeProxysFindings(t *testing.T) {
	text, n := read(t, guide), 0
	for _, f := range faults {
		if !strings.HasPrefix(f.id, "kubeproxy.") {
			continue
		}
		n++
		if !strings.Contains(text, "\n| `"+f.id+"` | "+string(f.severity)+" |") {
			t.Errorf("%s: the guide has no row for %s of severity %s", f.name, f.id, f.severity)
		}
	}
	if n < 5 {
		t.Errorf("only %d faults are about kube-proxy", n)
	}
}
