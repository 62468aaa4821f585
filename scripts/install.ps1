# Installs Bulkhead on this node, from the folder that has bulkhead.exe and a conflist.
# Run as Administrator: .\install.ps1 -Conf l2bridge.conflist [more flags of bulkhead install]
param(
    [Parameter(Mandatory)][string]$Conf,
    [Parameter(ValueFromRemainingArguments)][string[]]$More
)
$ErrorActionPreference = 'Stop'
& (Join-Path $PSScriptRoot 'bulkhead.exe') install --conf $Conf @More
exit $LASTEXITCODE
