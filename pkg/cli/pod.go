// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

// podFlags say which pod is asked about.
type podFlags struct {
	// name is NAMESPACE/NAME, or the id of the pod's sandbox or the beginning of it.
	name  string
	cache string
}

func (p *podFlags) flags(c *cobra.Command) {
	c.Flags().StringVar(&p.name, "pod", "", "`pod`: NAMESPACE/NAME, or the id of its sandbox or the beginning of it")
	p.cacheFlag(c)
}

func (p *podFlags) cacheFlag(c *cobra.Command) {
	c.Flags().StringVar(&p.cache, "cache-dir", `\var\lib\cni`, "`directory` where the runtime's libcni keeps results, which tells a pod's sandbox")
}

// endpointsOf returns the pod's endpoints on this node.
func endpointsOf(i node.Inventory, pod podFlags) ([]hns.Endpoint, error) {
	ids := []string{pod.name}
	if namespace, name, ok := strings.Cut(pod.name, "/"); ok {
		var err error
		if ids, err = sandboxes(pod.cache, namespace, name); err != nil {
			return nil, err
		}
	}
	if err := i.Err(node.Endpoints); err != nil {
		return nil, err
	}
	networks := map[string]string{}
	for _, n := range i.Networks {
		networks[n.ID] = n.Name
	}
	var out []hns.Endpoint
	for _, e := range i.Endpoints {
		id, _, ok := plan.ParseEndpointName(e.Name, networks[e.NetworkID])
		if ok && !e.Remote && slices.ContainsFunc(ids, func(asked string) bool { return strings.HasPrefix(id, asked) }) {
			out = append(out, e)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: %w", pod.name, errNoPod)
	}
	return out, nil
}

// sandboxes returns the ids of a pod's sandboxes.
func sandboxes(cache, namespace, name string) ([]string, error) {
	known, err := results(cache)
	if err != nil {
		return nil, fmt.Errorf("%w, or give the sandbox's id", err)
	}
	var ids []string
	for id, r := range known {
		if r.Namespace == namespace && r.Name == name {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%s/%s: %w, as the runtime's results in %s tell", namespace, name, errNoPod, filepath.Join(cache, "results"))
	}
	return ids, nil
}

// result is what the runtime keeps of an ADD.
type result struct {
	// Namespace and Name are the pod's, empty where the runtime did not say.
	Namespace, Name string
	// Since is when ADD was done.
	Since time.Time
}

// results returns what libcni's cache (containernetworking/cni, libcni/api.go, cachedInfo)
// tells of each sandbox, by its id.
func results(cache string) (map[string]result, error) {
	dir := filepath.Join(cache, "results")
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("%w; --cache-dir tells where the runtime keeps its results", err)
	}
	out := map[string]result{}
	for _, f := range files {
		var info struct {
			ContainerID string
			CNIArgs     [][2]string
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil || json.Unmarshal(text, &info) != nil || info.ContainerID == "" {
			continue // deleted since the directory was read, or not the runtime's
		}
		var r result
		for _, arg := range info.CNIArgs {
			switch arg[0] {
			case "K8S_POD_NAMESPACE":
				r.Namespace = arg[1]
			case "K8S_POD_NAME":
				r.Name = arg[1]
			}
		}
		if stat, err := f.Info(); err == nil {
			r.Since = stat.ModTime()
		}
		out[info.ContainerID] = r
	}
	return out, nil
}
