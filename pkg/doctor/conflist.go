// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
)

// conflists judges what containerd would load (containerd/go-cni, opts.go,
// loadFromConfDir): of each directory the first file by the bytes of its name, and nothing
// at all when that one is broken.
func (e *exam) conflists() {
	if err := e.Err(node.Conflists); err != nil {
		e.add(Error, "conflist.dir", "a directory of conflists cannot be read.", firstLine(err),
			"bulkhead doctor --conf-dir DIR, with the conf_dir that containerd config dump tells")
	}
	var dirs []string
	for _, list := range e.Conflists {
		if dir := filepath.Dir(list.Path); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) == 0 && e.Err(node.Conflists) == nil {
		e.add(Error, "conflist.none", "there is no conflist, so containerd reports the node's network as not ready.",
			"no file ends in .conflist, .conf or .json", "copy a conflist to containerd's conf_dir")
	}
	for _, dir := range dirs {
		var files []node.Conflist
		for _, list := range e.Conflists {
			if filepath.Dir(list.Path) == dir {
				files = append(files, list)
			}
		}
		e.directory(dir, files)
	}
}

// directory judges the files of one directory, in the order in which they are loaded.
func (e *exam) directory(dir string, files []node.Conflist) {
	ours := slices.IndexFunc(files, func(l node.Conflist) bool { return len(l.Plugins) > 0 })
	for at, list := range files {
		severity, effect := Warning, "it is not the first, so it does not count now"
		if at == 0 {
			severity, effect = Error, "it is the first, so containerd loads none of the directory"
		} else if at <= ours {
			severity = Error
		}
		e.file(list, severity, effect)
		if at > ours && ours >= 0 {
			what := "containerd loads the first file of a directory alone, and this one stands behind Bulkhead's."
			if len(list.Plugins) > 0 {
				what = "two files of the directory are Bulkhead's, and containerd loads the first alone."
			}
			e.add(Warning, "conflist.others", what, fmt.Sprintf("%s (%s) is loaded, %s (%s) is not", files[ours].Path, listed(files[ours].Types), list.Path, listed(list.Types)), setAside(list.Path))
		}
	}
	switch {
	case ours < 0:
		e.add(Error, "conflist.none", "no conflist of the directory has a plugin of Bulkhead's.",
			fmt.Sprintf("%s has %s (%s)", dir, filepath.Base(files[0].Path), listed(files[0].Types)), "copy a conflist there under a name that sorts before "+filepath.Base(files[0].Path))
	case ours > 0:
		e.add(Error, "conflist.first", "containerd loads another file than Bulkhead's.",
			fmt.Sprintf("%s (%s) sorts before %s", files[0].Path, listed(files[0].Types), filepath.Base(files[ours].Path)), setAside(files[0].Path))
	}
	if ours >= 0 {
		for _, c := range files[ours].Plugins {
			e.capabilities(c, files[ours].Path)
		}
	}
}

// setAside is the command that takes a file out of what containerd looks at.
func setAside(path string) string {
	return fmt.Sprintf("Rename-Item %s %s", quoted(path), quoted(filepath.Base(path)+".off"))
}

// file judges one file: encoding, ending, content.
func (e *exam) file(list node.Conflist, severity Severity, effect string) {
	ending := filepath.Ext(list.Path)
	switch {
	case list.Encoding == config.UTF8BOM || list.Encoding == config.UTF16:
		e.addFix(FixEncoding, list.Path, severity, "conflist.encoding", "a conflist is not plain UTF-8, which containerd does not read.",
			fmt.Sprintf("%s is %s; %s", list.Path, list.Encoding, effect),
			fmt.Sprintf("[IO.File]::WriteAllText(%s, [IO.File]::ReadAllText(%s))", quoted(list.Path), quoted(list.Path)))
	case list.Err != nil:
		what := "a file of the directory is not a conflist."
		if len(list.Plugins) > 0 {
			what = "a conflist has what Bulkhead refuses, so no pod starts by it."
			effect = "STATUS says so, too"
		}
		e.add(severity, "conflist.broken", what, fmt.Sprintf("%s: %s; %s", list.Path, firstLine(list.Err), effect), "correct that in "+list.Path)
	case list.List && ending != ".conflist":
		e.add(severity, "conflist.ending", "a list of plugins has the ending of one plugin's file, and containerd refuses it.",
			fmt.Sprintf("%s has plugins; %s", list.Path, effect), fmt.Sprintf("Rename-Item %s %s", quoted(list.Path), quoted(strings.TrimSuffix(filepath.Base(list.Path), ending)+".conflist")))
	case !list.List && ending == ".conflist":
		e.add(severity, "conflist.ending", "one plugin's configuration has the ending of a list, and containerd refuses it.",
			fmt.Sprintf("%s has no plugins; %s", list.Path, effect), fmt.Sprintf("Rename-Item %s %s", quoted(list.Path), quoted(strings.TrimSuffix(filepath.Base(list.Path), ending)+".conf")))
	case len(list.Types) == 0:
		e.add(severity, "conflist.broken", "a conflist lists no plugin.", fmt.Sprintf("%s: plugins is empty; %s", list.Path, effect), "correct that in "+list.Path)
	}
}

// capabilities judges what a file uses and the runtime does not send unless asked.
func (e *exam) capabilities(c config.Config, path string) {
	declare := func(name string) string { return fmt.Sprintf(`write "capabilities": {%q: true} into %s`, name, path) }
	if len(c.HostPorts) > 0 && !c.Declares("portMappings") {
		e.add(Error, "capability.portMappings", "the conflist says which ports of the node pods may have, but the runtime sends it none.",
			path+": hostPorts without the capability portMappings", declare("portMappings"))
	}
	if !c.DNS.IsZero() && !c.Declares("dns") {
		e.add(Warning, "capability.dns", "every pod gets the conflist's own DNS, whatever its dnsPolicy and dnsConfig say.",
			path+": dns without the capability dns", declare("dns"))
	}
}
