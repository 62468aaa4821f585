// SPDX-License-Identifier: Apache-2.0

package verbs_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/test/verbs"
)

// pod adds a pod and returns its DEL, whose configuration is still without the closing
// brace, and what ADD printed.
func pod(t *testing.T, n *verbs.Node) (del verbs.Call, result string) {
	t.Helper()
	del = verbs.Call{Verb: "DEL", ContainerID: "c1", NetNS: n.Namespace(t), Conf: fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "net1", "type": "bulkhead",
		"driver": "l2bridge", "network": {"subnets": [{"prefix": "10.1.0.0/16", "gateway": "10.1.0.1"}]},
		"ipam": {"type": "host-local", "dataDir": %q, "ranges": [[{"subnet": "10.1.0.0/16"}]]}`, n.Dir)}
	add := del
	add.Verb, add.Conf = "ADD", del.Conf+"}"
	result, err := n.Run(t, add)
	if err != nil {
		t.Fatal(err)
	}
	return del, result
}

// A DEL makes these native calls and no others.
func TestDelCalls(t *testing.T) {
	n := verbs.New(t, "2022", t.TempDir())
	del, result := pod(t, n)
	del.Conf += `, "prevResult": ` + result + "}"
	if err := n.Host.ResetLog(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Run(t, del); err != nil {
		t.Fatal(err)
	}
	got, err := n.Host.Counts()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{
		"HcnEnumerateEndpoints": 2, "HcnOpenEndpoint": 1, "HcnQueryEndpointProperties": 1, "HcnCloseEndpoint": 1,
		"HcnOpenNamespace": 1, "HcnModifyNamespace": 1, "HcnCloseNamespace": 1, "HcnDeleteEndpoint": 1,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("native calls (-want +got):\n%s", d)
	}
	if left := n.Left(t); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// DEL needs no result of ADD, so nothing that is wrong with one may stop it.
func TestDelWithBadResult(t *testing.T) {
	for _, version := range []string{"0.2.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		for _, result := range []string{
			`"interfaces": [null], "ips": [{"version": "4", "address": "10.1.0.2/16"}]`,
			`"interfaces": [{"name": "eth0", "sandbox": "?"}], "ips": [null]`,
			`"interfaces": [{"name": "eth0", "mac": "?"}], "ips": [{"version": "4", "interface": 0, "address": "10.1.0.2/16"}]`,
			`"interfaces": [{"name": "eth0"}], "ips": [{"version": "4", "interface": 7, "address": "10.1.0.2/16"}], "routes": [null]`,
			`"ips": [{}]`, `"ip4": null`, `"ip4": {}`, `"ip4": {"ip": "10.1.0.2/16", "routes": [null]}`, `"ips": "?"`,
		} {
			delWith(t, version, fmt.Sprintf(`{"cniVersion": %q, %s}`, version, result))
		}
		for _, result := range []string{`{"cniVersion": "9.0.0"}`, `null`, `[]`, `{}`, `"x"`} {
			delWith(t, version, result)
		}
	}
}

// delWith adds a pod, and deletes it with another result than ADD's.
func delWith(t *testing.T, version, result string) {
	t.Helper()
	t.Run(version+" "+result, func(t *testing.T) {
		n := verbs.New(t, "2022", t.TempDir())
		del, _ := pod(t, n)
		del.Conf = strings.Replace(del.Conf, "1.0.0", version, 1) + `, "prevResult": ` + result + "}"
		if _, err := n.Run(t, del); err != nil {
			t.Error(err)
		}
		if left := n.Left(t); len(left) > 0 {
			t.Errorf("left %v", left)
		}
	})
}
