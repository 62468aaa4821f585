// SPDX-License-Identifier: Apache-2.0

package verbs_test

import (
	"fmt"
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

// A DEL with the result of ADD, as libcni sends it, makes these native calls and no
// others.
func TestDelWithResult(t *testing.T) {
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
	want := map[string]int{"HcnOpenNamespace": 1, "HcnModifyNamespace": 1, "HcnDeleteEndpoint": 1, "HcnEnumerateEndpoints": 1, "HcnCloseNamespace": 1}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("native calls (-want +got):\n%s", d)
	}
	if left := n.Left(t); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// DEL needs no result of ADD, so nothing that is wrong with one may stop it.
func TestDelWithBadResult(t *testing.T) {
	for _, result := range []string{
		`{"cniVersion": "1.0.0", "interfaces": [null], "ips": [{"address": "10.1.0.2/16"}]}`,
		`{"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": "?"}], "ips": [null]}`,
		`{"cniVersion": "0.4.0", "interfaces": [null], "ips": [null]}`,
		`{"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "mac": "?"}], "ips": [{"interface": 0, "address": "10.1.0.2/16"}]}`,
		`{"cniVersion": "1.0.0", "interfaces": [{"name": "eth0"}], "ips": [{"interface": 7, "address": "10.1.0.2/16"}]}`,
		`{"cniVersion": "1.0.0", "ips": [{}]}`,
		`{"cniVersion": "0.2.0", "ip4": null}`,
		`{"cniVersion": "9.0.0"}`, `null`, `[]`, `{}`, `"x"`,
	} {
		t.Run(result, func(t *testing.T) {
			n := verbs.New(t, "2022", t.TempDir())
			del, _ := pod(t, n)
			del.Conf += `, "prevResult": ` + result + "}"
			if _, err := n.Run(t, del); err != nil {
				t.Error(err)
			}
			if left := n.Left(t); len(left) > 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}
