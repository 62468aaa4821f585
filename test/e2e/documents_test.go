// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/test/verbs"
	"github.com/bulkhead-cni/bulkhead/test/wine"
)

var update = flag.Bool("update", false, "rewrite the golden files from what the Linux build sends")

// A pod's ADD and DEL with each conflist send HNS the same documents, in the same
// native calls, from the Linux build in this process as from bulkhead.exe through
// hcsshim: one golden file for both. Ids that HNS chooses are numbered.
func TestDocuments(t *testing.T) {
	t.Parallel()
	oldest := oldestWindows(t)
	for _, file := range slices.Sorted(maps.Keys(oldest)) {
		name := strings.TrimSuffix(file, ".conflist")
		t.Run(name, func(t *testing.T) {
			t.Run("linux", func(t *testing.T) { sameDocuments(t, name, sentHere(t, file, oldest[file])) })
			t.Run("windows", func(t *testing.T) { sameDocuments(t, name, sentByWindows(t, file, oldest[file])) })
		})
	}
}

// sameDocuments compares with the golden file of a conflist.
func sameDocuments(t *testing.T, name string, got []byte) {
	t.Helper()
	golden := filepath.Join("testdata", "documents", name+".txtar")
	if *update && strings.HasSuffix(t.Name(), "/linux") {
		if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got); go test ./test/e2e -run TestDocuments -update rewrites it:\n%s", golden, diff)
	}
}

// pluginConf is what libcni makes of a conflist for a pod that has every wish
// that the conflist declares.
func pluginConf(t *testing.T, file, dataDir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(conflists, file))
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Version string `json:"cniVersion"`
		Name    string `json:"name"`
		Plugins []map[string]any
	}
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	conf := list.Plugins[0]
	conf["cniVersion"], conf["name"] = list.Version, list.Name
	if ipam, ok := conf["ipam"].(map[string]any); ok {
		ipam["dataDir"] = dataDir
	}
	declared, _ := conf["capabilities"].(map[string]any)
	wishes := map[string]any{}
	for capability, wish := range map[string]any{
		"portMappings": []any{map[string]any{"hostPort": 30001, "containerPort": 80, "protocol": "tcp"}},
		"dns":          map[string]any{"servers": []string{"10.96.0.53"}, "searches": []string{"default.svc.cluster.local"}, "options": []string{"ndots:5"}},
		"bandwidth":    map[string]any{"egressRate": 8_000_000, "egressBurst": 8_000_000},
		config.CapabilityAnnotations: map[string]any{
			config.Annotation: `{"rules": [{"direction": "out", "action": "deny", "protocol": "tcp", "ports": "25"}]}`,
		},
	} {
		if declared[capability] == true {
			wishes[capability] = wish
		}
	}
	conf["runtimeConfig"] = wishes
	out, err := json.Marshal(conf)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// sentHere runs the pod in this process.
func sentHere(t *testing.T, file, profile string) []byte {
	t.Helper()
	n := verbs.New(t, profile, t.TempDir())
	conf := pluginConf(t, file, n.Dir)
	if daemon := daemons[file]; daemon != nil {
		daemon(t, n)
	}
	netns := n.Namespace(t)
	return sent(t, n.Host, func(verb string) {
		if _, err := n.Run(t, verbs.Call{Verb: verb, ContainerID: "c1", NetNS: netns, Conf: conf}); err != nil {
			t.Fatalf("%s: %v", verb, err)
		}
	})
}

// sentByWindows runs the pod with bulkhead.exe.
func sentByWindows(t *testing.T, file, profile string) []byte {
	t.Helper()
	p := newPlugin(t, profile)
	conf := pluginConf(t, file, wine.WindowsPath(p.dir))
	if daemon := daemons[file]; daemon != nil {
		daemon(t, p.inProcess())
	}
	netns := p.namespace()
	return sent(t, p.node.Host, func(verb string) {
		if r := p.run(call{verb: verb, id: "c1", netns: netns, conf: conf}); r.Code != 0 {
			t.Fatalf("%s: %+v", verb, r)
		}
	})
}

// sent returns what arrives at HNS while a pod is added and deleted: for each verb
// the native calls, and the documents of those that make or change something.
func sent(t *testing.T, host *hnsemu.Host, run func(verb string)) []byte {
	t.Helper()
	var files []txtar.File
	ids := map[string]string{}
	for _, verb := range []string{"ADD", "DEL"} {
		if err := host.ResetLog(); err != nil {
			t.Fatal(err)
		}
		run(verb)
		calls, err := host.Calls()
		if err != nil {
			t.Fatal(err)
		}
		var procs strings.Builder
		var documents []txtar.File
		for _, c := range calls {
			procs.WriteString(c.Proc + "\n")
			if d := document(t, c); d != nil {
				name := fmt.Sprintf("%s/%d-%s.json", verb, len(documents)+1, c.Proc)
				documents = append(documents, txtar.File{Name: name, Data: numbered(d, ids)})
			}
		}
		files = append(append(files, txtar.File{Name: verb + "/calls", Data: []byte(procs.String())}), documents...)
	}
	return txtar.Format(&txtar.Archive{Files: files})
}

// document returns the JSON document of a call that makes or changes something,
// with sorted members; nil for another call.
func document(t *testing.T, c hnsemu.LoggedCall) []byte {
	t.Helper()
	if !strings.HasPrefix(c.Proc, "HcnCreate") && !strings.HasPrefix(c.Proc, "HcnModify") && (c.Proc != "HNSCall" || c.Args[2] == "") {
		return nil
	}
	dec := json.NewDecoder(strings.NewReader(c.Args[len(c.Args)-1]))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		t.Fatalf("%s: %v: %q", c.Proc, err, c.Args)
	}
	if members, ok := value.(map[string]any); ok {
		maps.DeleteFunc(members, addedByHCSShim)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(value); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// addedByHCSShim reports whether a member is one that hcsshim writes into every
// network and endpoint though nothing is in it: omitempty has no effect on Go
// structs (hcn/hcnnetwork.go, hcn/hcnendpoint.go). No other difference is let pass.
func addedByHCSShim(key string, value any) bool {
	empty := map[string]any{}
	switch key {
	case "Health":
		return reflect.DeepEqual(value, map[string]any{"Extra": empty})
	case "Dns", "MacPool":
		return reflect.DeepEqual(value, empty)
	default:
		return false
	}
}

var guid = regexp.MustCompile(`(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// numbered replaces GUIDs by numbers, in the order in which they are met.
func numbered(text []byte, ids map[string]string) []byte {
	return guid.ReplaceAllFunc(text, func(id []byte) []byte {
		key := strings.ToLower(string(id))
		if ids[key] == "" {
			ids[key] = fmt.Sprintf("<id %d>", len(ids)+1)
		}
		return []byte(ids[key])
	})
}
