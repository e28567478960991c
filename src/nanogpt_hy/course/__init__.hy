"The contents page: every public name of the course, in reading order. One file
a step, each on one screen."

(import nanogpt-hy.course.s01-tokens [CharTokenizer])
(import nanogpt-hy.course.s02-batches [split windows examples draw-batch])
(import nanogpt-hy.course.s03-bigram [Bigram cross-entropy])
(import nanogpt-hy.course.s04-generate [next-logits generate])
(import nanogpt-hy.course.s05-train [adamw add-gradient train-step evaluate])
(import nanogpt-hy.course.s06-average [causal average-loop average-matmul
                                           average-softmax average-cumulative])
(import nanogpt-hy.course.s07-embed [Embed LanguageModel])
(import nanogpt-hy.course.s08-head [attention-weights attend Head])
(import nanogpt-hy.course.s09-heads [Heads MultiHeadAttention])
(import nanogpt-hy.course.s10-feed-forward [FeedForward])
(import nanogpt-hy.course.s11-block [Residual PreNorm Block stack])
(import nanogpt-hy.course.s12-gpt [gpt-body GPT normal-init])
