"""Parameters away from where they start, so that no gradient is too small to be seen in differences."""


def shake(model, rng):
    for _, parameter in model.named_parameters():
        parameter.value[...] += 0.4 * rng.normal(size=parameter.value.shape)
