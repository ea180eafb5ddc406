# docker buildx bake --file images/docker-bake.hcl, from the repository's root.

# That of the Containerfile unless said.
variable "BASE" { default = null }
variable "PREFIX" { default = "nodeplug" }
variable "TAG" { default = "0.1.0" }
variable "REVISION" { default = "unknown" }

group "default" {
  targets = ["image"]
}

target "image" {
  name       = backend
  matrix     = { backend = ["custom", "intel-fpga", "nvidia-gpu", "sriov-net", "all"] }
  context    = "."
  dockerfile = "images/Containerfile"
  target     = backend
  platforms  = ["linux/amd64", "linux/arm64"]
  tags       = ["${PREFIX}/${backend}:${TAG}"]
  args       = { BASE = BASE, VERSION = TAG, REVISION = REVISION }
}
