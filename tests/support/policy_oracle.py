"""The objective of sampled answers and its gradient, token by token in plain Python floats."""

import math


def group_advantages(rewards, scale_by_std):
    """Advantages of one group's answers; all 0 for equal rewards."""
    mean = math.fsum(rewards) / len(rewards)
    std = math.sqrt(math.fsum((r - mean) ** 2 for r in rewards) / len(rewards))
    if max(rewards) == min(rewards):
        return [0.0] * len(rewards)
    return [(r - mean) / (std + 1e-6) if scale_by_std else r - mean for r in rewards]


def policy_loss(answers, *, low, high, normalization, budget, kl_weight=0.0, bound=None):
    """Returns (loss, gradient by the log-probability of each token, as nested lists).

    `answers` have lists of equal length: "logprobs", "sampled", "advantages", "reference".
    """
    divisor = len(answers)
    if normalization == "token":
        divisor = sum(len(answer["logprobs"]) for answer in answers)
    loss, gradients = 0.0, []
    for answer in answers:
        count = len(answer["logprobs"])
        weight = {"sequence": 1 / count, "token": 1.0, "constant": 1 / budget}[normalization]
        own = []
        for t in range(count):
            advantage = answer["advantages"][t]
            log_ratio = answer["logprobs"][t] - answer["sampled"][t]
            ratio = math.exp(log_ratio)
            clipped = min(max(ratio, 1 - low), 1 + high)
            value, slope = -min(ratio * advantage, clipped * advantage), 0.0
            if ratio * advantage <= clipped * advantage:
                slope = -ratio * advantage
            if bound is not None and not 1 / bound <= ratio <= bound:
                value = slope = 0.0
            if kl_weight:
                difference = answer["reference"][t] - answer["logprobs"][t]
                value += kl_weight * (math.exp(difference) - difference - 1)
                slope += kl_weight * (1 - math.exp(difference))
            loss += weight * value / divisor
            own.append(weight * slope / divisor)
        gradients.append(own)
    return loss, gradients
