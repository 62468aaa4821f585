// SPDX-License-Identifier: Apache-2.0

package hns

// systemMeanings are the codes that HNS takes from the rest of Windows: COM's, Win32
// errors with their facility, and those of the compute service HCS. Names and texts
// are winerror.h's.
var systemMeanings = []Meaning{
	{
		0x80004001, "E_NOTIMPL", "Not implemented", ErrUnsupported,
		"this build of Windows lacks the feature that was asked for",
		"update Windows on the node or remove the setting that needs the newer version",
	},
	{
		0x80004005, "E_FAIL", "Unspecified error", ErrBusy,
		"HNS or its NAT (WinNAT) is in a bad state, a host port clashes, or an object was made anew while its predecessor was still being released",
		"let the runtime try again; if it lasts, read the event log of HNS (Get-WinEvent Microsoft-Windows-Host-Network-Service-Admin), drain the node and Restart-Service hns",
	},
	{
		0x8000ffff, "E_UNEXPECTED", "Catastrophic failure", nil,
		"HNS, or a driver under its virtual switch, came into a state that it does not expect",
		"read the event log of HNS (Get-WinEvent Microsoft-Windows-Host-Network-Service-Admin); if it recurs, drain the node and restart it",
	},
	{
		0x80070002, "ERROR_FILE_NOT_FOUND", "The system cannot find the file specified", nil,
		"a registry key, an adapter or a program that is needed is missing",
		"check that the network's adapter is there (Get-NetAdapter) and that the runtime's bin_dir has the plugins that the configuration names",
	},
	{
		0x80070005, "ERROR_ACCESS_DENIED", "Access is denied", nil,
		"the caller is neither SYSTEM nor an administrator, like a HostProcess pod without the right runAsUserName",
		`run it as SYSTEM (runAsUserName "NT AUTHORITY\SYSTEM" in a HostProcess pod)`,
	},
	{
		0x8007001f, "ERROR_GEN_FAILURE", "A device attached to the system is not functioning", nil,
		"the virtual switch or the driver of the network card is in trouble",
		"check the adapter and the virtual switch (Get-NetAdapter, Get-VMSwitch), update the network card's driver and restart the node",
	},
	{
		0x80070020, "ERROR_SHARING_VIOLATION", "The process cannot access the file because it is being used by another process", ErrExists,
		"another container, a program or a port range that Windows excludes has the host port",
		"find who has the host port (Get-NetTCPConnection -State Listen; netsh interface ipv4 show excludedportrange protocol=tcp) and free it, or choose another port",
	},
	{
		0x80070022, "ERROR_WRONG_DISK", "The wrong diskette is in the drive", nil,
		"HNS could not attach the endpoint, as seen after a Windows update; no diskette is meant, Windows translates the code wrongly",
		"drain the node and Restart-Service hns; if it recurs, recreate the HNS network",
	},
	{
		0x80070032, "ERROR_NOT_SUPPORTED", "The request is not supported", ErrUnsupported,
		"the driver, a policy or IPv6 was asked for on a build of Windows that lacks it",
		"update Windows on the node or remove what needs the newer version from the network configuration",
	},
	{
		0x80070034, "ERROR_DUP_NAME", "A duplicate name exists on the network", ErrExists,
		"a subnet overlaps the one of another NAT or ICS network",
		"choose a subnet that overlaps no other (Get-HnsNetwork, Get-NetNat), or delete the network that has it",
	},
	{
		0x8007003b, "ERROR_UNEXP_NET_ERR", "An unexpected network error occurred", ErrBusy,
		"a passing fault of the network, or one of HNS's own codes (0x803b....) of which a log kept too few digits",
		"let the runtime try again; if it lasts, look up the code with all its eight digits",
	},
	{
		0x80070057, "ERROR_INVALID_PARAMETER", "The parameter is incorrect", ErrInvalid,
		"the adapter is a vEthernet or belongs to another HNS network, subnet and gateway disagree, a field is wrong, or this edition of Windows lacks the driver",
		"compare the adapter, subnets and gateways of the network configuration with what the node has (Get-HnsNetwork, Get-NetAdapter)",
	},
	{
		0x8007007e, "ERROR_MOD_NOT_FOUND", "The specified module could not be found", ErrUnsupported,
		"a library of HNS is missing, as on a node without the Containers feature",
		"install the Containers feature (Install-WindowsFeature Containers) and restart the node",
	},
	{
		0x8007007f, "ERROR_PROC_NOT_FOUND", "The specified procedure could not be found", ErrUnsupported,
		"this build of Windows is too old: its library of HNS lacks the call",
		"update Windows on the node",
	},
	{
		0x800700b7, "ERROR_ALREADY_EXISTS", "Cannot create a file when that file already exists", ErrExists,
		"the endpoint is attached or its compartment exists already, as with Hyper-V isolation and a runtime that attaches containers one by one",
		"restart the pod, on a runtime that makes HNS namespaces such as containerd; if it recurs, see what the endpoint is attached to (Get-HnsEndpoint)",
	},
	{
		0x80070426, "ERROR_SERVICE_NOT_ACTIVE", "The service has not been started", ErrUnavailable,
		"HNS, or a service that it needs, is not running",
		"see which service is stopped (Get-Service hns,SharedAccess,mpssvc,vfpext) and start it (Start-Service hns)",
	},
	{
		0x80070490, "ERROR_NOT_FOUND", "Element not found", ErrNotFound,
		"the network, endpoint or namespace is gone: the node or HNS was restarted, or the namespace was removed too early",
		"restart the pod; if it recurs, check that the network is there (Get-HnsNetwork) and recreate it if not",
	},
	{
		0x800706ba, "RPC_S_SERVER_UNAVAILABLE", "The RPC server is unavailable", ErrUnavailable,
		"HNS is down or restarting",
		"wait until HNS runs (Get-Service hns) and let the runtime try again; if HNS keeps stopping, read the System event log",
	},
	{
		0x800706be, "RPC_S_CALL_FAILED", "The remote procedure call failed", ErrUnavailable,
		"HNS crashed or was restarted during the call",
		"wait until HNS runs (Get-Service hns) and let the runtime try again; if HNS keeps crashing, read the Application event log and update Windows",
	},
	{
		0x800706d9, "EPT_S_NOT_REGISTERED", "There are no more endpoints available from the endpoint mapper", ErrUnavailable,
		"HNS is stopped, or has not started far enough to take calls",
		"check that HNS runs (Get-Service hns), start it if not (Start-Service hns) and let the runtime try again",
	},
	{
		0x80071392, "ERROR_OBJECT_ALREADY_EXISTS", "The object already exists", ErrExists,
		"another endpoint, often a remote one of kube-proxy, has this address or name already, or the pod was added twice at once",
		"find who has the address (Get-HnsEndpoint) and delete that endpoint if no pod uses it (Remove-HnsEndpoint)",
	},
	{
		0x8037010e, "HCS_E_SYSTEM_NOT_FOUND", "A virtual machine or container with the specified identifier does not exist", ErrNotFound,
		"the container is gone or not there yet, and the runtime attaches containers one by one",
		"restart the pod, on a runtime that makes HNS namespaces such as containerd",
	},
	{
		0x80370110, "HCS_E_SYSTEM_ALREADY_STOPPED", "The virtual machine or container with the specified identifier is not running", nil,
		"the pod had stopped before its network was taken away",
		"ignore it if the pod is being deleted, else restart the pod",
	},
}
